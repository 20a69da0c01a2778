"""The queues that there are. AMQP cannot list queues, so ours stand in a durable queue, a message for each.

To read it is to take all messages and to let go of them again; who reads has it alone for that moment.
"""

from __future__ import annotations

import asyncio

from penstock.brokers.rabbitmq.topology import REGISTRY, Topology
from penstock.core.errors import Unavailable
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Arrived, Broken, Channel
from penstock.drivers.rabbitmq.errors import ACCESS_REFUSED, translated

_PATIENCE = 3.0  #: seconds to wait for another reader
_TAG = "reader"
_COUNT = methods.queue_declare(REGISTRY, passive=True)


async def names(topology: Topology) -> set[str]:
    """The registered queues. Raises Unavailable or StorageError."""
    await topology.own(REGISTRY)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while True:
        channel = await topology.driver.working.channel()
        try:
            return await _read(topology, channel)
        except Broken as error:
            if error.code != ACCESS_REFUSED:
                raise translated(error, topology.driver.address) from error
            if loop.time() > deadline:
                raise Unavailable(f"{topology.driver.address.shown}: somebody keeps the list of queues") from error
        await asyncio.sleep(0.01)


async def _read(topology: Topology, channel: Channel) -> set[str]:
    within = topology.driver.working.within
    arrived: list[Arrived] = []
    channel.deliver = arrived.append
    await within(channel.call(methods.CONSUME, methods.consume(REGISTRY, _TAG, exclusive=True)))
    while methods.message_count(await within(channel.call(methods.QUEUE_DECLARE, _COUNT))):
        pass  # until nothing is ready any more: then all is on its way, before the next answer
    await within(channel.call(methods.CANCEL, methods.cancel(_TAG)))
    found: set[str] = set()
    for one in arrived:
        name = one.body.decode("utf-8", "replace")
        if name in found:
            channel.send(methods.ACK, methods.ack(one.tag))
        found.add(name)
    await channel.close()  # the rest goes back to its place
    return found
