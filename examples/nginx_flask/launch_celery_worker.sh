#!/bin/sh
# Starts a worker: my_celery_container, then my_celery_container_2, my_celery_container_3 …
set -eu
cd "$(dirname "$0")"

name=my_celery_container number=1
while docker ps --all --format '{{.Names}}' | grep -qx "$name"; do
    number=$((number + 1))
    name=my_celery_container_$number
done
docker run -d --restart unless-stopped --network my_network --name "$name" \
    --user "$(id -u):$(id -g)" --stop-timeout 30 -v "$PWD/db:/db" my_celery_image
