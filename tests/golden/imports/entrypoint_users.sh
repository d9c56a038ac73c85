#!/bin/sh

set -e

./wait-for-db.sh db

python manage.py migrate

if [ "$DJANGO_SUPERUSER_USERNAME" ]; then
    python manage.py createsuperuser --noinput --username "$DJANGO_SUPERUSER_USERNAME" --email admin@example.com || true
fi

python manage.py createenterer || echo "Warning: the user could not be created"

python manage.py collectstatic --noinput

exec "$@"
