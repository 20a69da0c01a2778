#!/bin/sh
set -eu
cd "$(dirname "$0")/myproject"
# run a worker for our project myproject with its configuration in celeryconf
exec penstock worker myproject.celeryconf -Q default "$@"
