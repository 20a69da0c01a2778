"""AMQP 0-9-1, spoken to RabbitMQ."""
