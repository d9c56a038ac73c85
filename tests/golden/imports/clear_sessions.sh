#!/usr/bin/env bash
cd /srv/www/internships
echo '>>> Cleaning Django sessions'
/srv/www/internships/env/bin/python manage.py clearsessions
echo '[executed]'

echo ''
echo '>>> Cleaning the sessions of the single sign-on'
/srv/www/internships/env/bin/python manage.py django_cas_ng_clean_sessions
echo '[executed]'
