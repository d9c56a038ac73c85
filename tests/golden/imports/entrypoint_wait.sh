#!/bin/sh

# Prepares the database, then starts the server.

set -e

until python manage.py db_ready; do
  >&2 echo "The database is not available: waiting"
  sleep 1
done

>&2 echo "The database is up: continuing"

if [ "$DJANGO_MANAGEPY_MIGRATE" = 'on' ]; then
    python manage.py migrate --noinput
fi

if [ "$DJANGO_MANAGEPY_COLLECTSTATIC" = 'on' ]; then
    python manage.py collectstatic --noinput
fi

exec "$@"
