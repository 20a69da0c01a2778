#!/bin/sh
set -eu
cd "$(dirname "$0")/myproject"
# migrate db, so we have the latest db schema
python manage.py migrate --no-input
# on the port that GUNICORN_CMD_ARGS says, 8000 in the image
exec gunicorn --workers 2 --threads 4 myproject.wsgi
