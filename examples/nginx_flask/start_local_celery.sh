#!/bin/sh
# The worker of flask/standalone_app.py, on this machine.
cd "$(dirname "$0")/flask" || exit
exec penstock worker standalone_app.py:celery
