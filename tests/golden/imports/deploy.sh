#!/bin/bash
# Deploys the flight desk: ./deploy.sh BRANCH [DAY]
set -euo pipefail

BRANCH=${1:-main}
DAY=${2:-$(date +%F)}
APP=/srv/desk
PYTHON=$APP/venv/bin/python
MANAGE="$PYTHON manage.py"
LOG=$APP/log/deploy-$(date +%Y%m%d).log
export DJANGO_SETTINGS_MODULE=desk.settings.production

say() {
  echo "[$(date +%T)] $*"
}

manage() {
  sudo -u desk $MANAGE "$@"
}

trap '$MANAGE notify_operations "the deploy has failed"' ERR

exec 9>/var/lock/deploy.lock
flock -w 60 9 || exit 75

say "Code"
cd $APP
git fetch origin
git checkout "$BRANCH"
source venv/bin/activate
pip install -r requirements.txt

say "Database"
manage check --deploy
for attempt in 1 2 3; do
  manage migrate --no-input && break
  [ "$attempt" -lt 3 ] || exit 1
  sleep 10
done

say "Data of $DAY"
for table in airlines airports planes; do
  manage reference_data import data --only $table
done
timeout 20m $MANAGE import_flights data/flights.csv >> $LOG 2>&1
TOTAL=$($MANAGE count_delays --format json --day "$DAY" | jq .total)
if [ "$TOTAL" -gt 0 ]; then
  manage send_reports --type daily --day "$DAY"
else
  manage notify_operations "no flights on $DAY"
fi

say "Static files and search"
manage collectstatic --no-input >> $LOG 2>&1 &
manage update_search_index --batch-size 500 &
wait
manage clearsessions || true

sudo systemctl reload desk
say "done"
