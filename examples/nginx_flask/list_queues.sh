#!/bin/sh
# The queues: what waits in them, and what workers hold.
exec docker exec my_rabbitmq_container rabbitmqctl --quiet list_queues name messages_ready messages_unacknowledged
