#!/bin/sh
# The queues, every two seconds, until Ctrl-C.
cd "$(dirname "$0")" || exit
while ./list_queues.sh; do
    sleep 2
done
