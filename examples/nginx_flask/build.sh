#!/bin/sh
# Builds the four images, makes the network, and starts a container of each image.
set -eu
cd "$(dirname "$0")"

docker build -t my_rabbitmq_image rabbitmq
docker build -t my_flask_image flask
docker build -t my_celery_image celery
docker build -t my_nginx_image nginx

docker network inspect my_network >/dev/null 2>&1 || docker network create my_network
mkdir -p db

docker run -d --restart unless-stopped --network my_network --name my_rabbitmq_container my_rabbitmq_image
# what needs it starts when it listens
until docker exec my_rabbitmq_container rabbitmq-diagnostics -q check_port_connectivity >/dev/null 2>&1; do
    sleep 1
done
docker run -d --restart unless-stopped --network my_network --name my_flask_container \
    --user "$(id -u):$(id -g)" -v "$PWD/db:/db" my_flask_image
./launch_celery_worker.sh
docker run -d --restart unless-stopped --network my_network --name my_nginx_container \
    -p 8000:8000 -v "$PWD/document_root:/document_root" my_nginx_image
