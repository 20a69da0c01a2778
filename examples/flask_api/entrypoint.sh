#!/bin/sh
# What a container of the image is: `api` (unless told otherwise) or `celery_worker`.
set -eu
cd "$(dirname "$0")"
case "${1:-api}" in
    api) exec gunicorn --threads 4 app:api ;;
    celery_worker) exec penstock worker app.py --processes 1 --health-port 8081 ;;
    *) echo "entrypoint.sh $1: it is api or celery_worker" >&2; exit 64 ;;
esac
