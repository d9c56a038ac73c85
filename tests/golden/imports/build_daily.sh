#! /bin/sh

# All mandatory tasks that run each day. It is updated with the package.

runuser -c '/usr/share/build/frontend/manage.py vacuum-graphs' - build-fe
runuser -c '/usr/share/build/frontend/manage.py clean-expired-projects' - build-fe
runuser -c '/usr/share/build/frontend/manage.py clean-old-builds' - build-fe

# The hourly update adds new documents without removing old ones.
runuser -c '/usr/share/build/frontend/manage.py update-indexes' - build-fe
