#!/usr/bin/env bash
# Build script of the hosting
set -o errexit

pip install -r requirements.txt
python manage.py collectstatic --no-input
python manage.py makemigrations --check && python manage.py migrate
python manage.py loaddata db.json || true
