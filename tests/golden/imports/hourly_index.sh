#!/bin/bash

# @hourly (/home/desk/site/bin/update_index.sh >> /home/desk/site/logs/cron_update_index.log 2>&1)

set -e
source /home/desk/site/bin/environment.sh
if [ -z "$SITE_VERSION" ]; then
    echo "stop! SITE_VERSION is not set"
    exit 1
fi
VIRTUALENV=/home/desk/venvs/$SITE_VERSION
SITE_ROOT=/home/desk/site
DJANGODIR=${SITE_ROOT}/desk/pages
export DJANGO_SETTINGS_MODULE=pages.settings
export PYTHONPATH=$DJANGODIR:$PYTHONPATH

echo "Starting update_index using $VIRTUALENV"
source ${VIRTUALENV}/bin/activate

cd $DJANGODIR

./manage.py update_index
