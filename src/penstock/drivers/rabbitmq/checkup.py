"""What `penstock doctor` tells of a RabbitMQ server, as far as AMQP tells it."""

from __future__ import annotations

from penstock.core.checkup import Finding
from penstock.drivers.amqp import methods
from penstock.drivers.rabbitmq.line import Line


async def examined(working: Line, publishing: Line) -> list[Finding]:
    """Everything that can be looked at."""
    connection = await working.connected()
    address, server = working.address, connection.server
    name = f"{server.get('product', 'AMQP server')} {server.get('version', '?')} ({server.get('platform', '?')})"
    findings = [Finding("versions", "ok", f"{name}, node {server.get('cluster_name', '?')}")]
    if address.user == "guest" and address.password == "guest":  # noqa: S105 - everybody knows it
        findings.append(Finding("login", "weak", "guest with its default password; make a user of your own"))
    else:
        findings.append(Finding("login", "ok", f"as {address.user}, virtual host {address.vhost}"))
    if address.tls is None and any(host.name not in ("localhost", "127.0.0.1", "::1") for host in address.hosts):
        findings.append(Finding("tls", "weak", "login and tasks travel in the clear; amqps:// encrypts them"))
    findings.append(Finding("durability", "ok", "durable queues, persistent messages, confirmed by the server"))
    if address.heartbeat:
        findings.append(
            Finding(
                "heartbeat",
                "weak",
                f"{address.heartbeat} s: a task that holds the interpreter for {2 * address.heartbeat} s costs the "
                "connection; without the option TCP keep-alive watches it",
            )
        )
    channel = await publishing.confirming()
    await publishing.answer(channel.call(methods.QOS, methods.qos(0)))
    blocked = publishing.connection.blocked if publishing.connection else ""
    if blocked:
        findings.append(Finding("alarms", "wrong", f"the server takes no messages: {blocked}"))
    return findings
