#!/bin/sh
for i in 1 2 3; do python manage.py migrate --noinput && break || echo "Migration attempt $i failed, retrying in 5s..." && sleep 5; done
for fixture in groups sites "start page"; do
    echo "Loading $fixture"
    python src/manage.py loaddata "$fixture"
done
python manage.py shell <<EOF
from django.contrib.auth.models import User
if not User.objects.filter(username='admin').exists():
    print('no admin yet')
EOF
daphne -b 0.0.0.0 -p ${PORT:-8080} desk.asgi:application
