"""All that a file describes, running: started, scaled, killed and stopped as one."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from tests import servers
from tests.processes import Startable, eventually
from tests.running import images
from tests.running.balancer import Balancer
from tests.running.instance import Instance
from tests.running.network import Address, Forwards, Inside, Network
from tests.running.units import OWN_NAME, Description, Name, Unit

MANY = 30  #: starts without being ready; some are to be expected while others are not ready yet


class System(Startable):
    """The instances of every unit, the names that lead to them, and what is published on this machine."""

    def __init__(self, description: Description, *, published: bool = False) -> None:
        """`published`: on the ports that the file says, as for a person; else on free ones, as for tests."""
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-running-"))
        self.folder.chmod(0o755)
        servers._reaper("folder", self.folder)
        self.units: dict[str, Unit] = {}
        self.names: dict[str, str] = {}
        self._description = description
        self._published = published
        self._network = Network()
        self._forwards = Forwards()
        self._instances: dict[str, list[Instance]] = {}
        self._addresses: dict[tuple[str, int], str] = {}
        self._links: dict[str, str] = {}
        self._ports: dict[tuple[str, int], int] = {}
        self.balancer: Balancer | None = None
        if description.balancer:
            self.names[description.balancer] = "127.0.0.1" if published else self._network.address()
            self.balancer = Balancer(self.names[description.balancer], self.folder, self.targets)
        for unit in description.units:
            self.add(unit)
        for name, target in description.names.items():
            self._name(name, target)
            if published and not images.is_server(self.units[target.unit]):
                for outside, inside in target.ports.items():
                    self._publish(target.unit, outside, inside)

    # --------------------------------------------------------------------------------------------------- life and end

    def start(self) -> Self:
        """Start everything, and return when all of it is ready."""
        if self.balancer is not None:
            self.balancer.start(list(self.units.values()))
        for unit in list(self.units.values()):
            self.scale(unit.name, unit.replicas, wait=False)
        self.wait()
        return self

    def close(self) -> None:
        """End everything, what depends on others first, and remove what it kept."""
        everything = [each for unit in reversed(self.units) for each in self._instances[unit]]
        for instance in everything:
            instance.leave(at_once=True)
        for instance in everything:
            instance.remove()
        if self.balancer is not None:
            self.balancer.close()
        self._forwards.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------------ the parts

    def __getitem__(self, unit: str) -> list[Instance]:
        """The instances of a unit."""
        return self._instances[unit]

    def add(self, unit: Unit) -> None:
        """Know another unit, which `scale` starts. In Docker its name leads to it; elsewhere the file has names."""
        self.units[unit.name] = unit
        self._instances[unit.name] = []
        if not (self._description.balancer or self._description.links or self._description.names):
            self._name(unit.name, Name(unit.name, {port: port for port in images.ports(unit)}))
        for here, inside in unit.published.items():
            self._publish(unit.name, here, inside)

    def remove(self, name: str) -> None:
        """Stop a unit's instances and forget it."""
        self.scale(name, 0)
        del self.units[name], self._instances[name]

    def scale(self, name: str, count: int, *, wait: bool = True) -> None:
        """Run `count` instances; those that are too many leave as their file says, the youngest first."""
        instances = self._instances[name]
        surplus = instances[count:]
        for number in range(len(instances), count):
            instance = self._instance(self.units[name], number)
            instances.append(instance)
            instance.start()
        for each in surplus:
            each.leave()
        for each in surplus:
            each.remove()
        del instances[count:]
        if wait:
            self.wait(name)

    def wait(self, *names: str, within: float = 120.0) -> None:
        """Return when the instances of these units, or of all, are ready."""
        for name in names or self.units:
            for instance in self._instances[name]:
                try:
                    eventually(partial(_is_ready, instance), within=within, what=f"{name} is ready")
                except AssertionError as error:
                    error.add_note(self.printed())
                    raise
        if self.balancer is not None:
            eventually(self.balancer.serves, within=within, what="the balancer leads to what is ready")

    def targets(self, name: str, port: int) -> list[Address]:
        """Where those of a unit's instances are that are ready."""
        return [(each.address, port) for each in self._instances.get(name, ()) if each.ready]

    def url(self, unit: str, port: int = 0) -> str:
        """Where a unit's port (else its first) is reached: where it is published or balanced, or by its name."""
        found = self.units[unit]
        port = port or next(iter((*found.published.values(), *found.balanced.values(), *images.ports(found))))
        if (unit, port) in self._ports:
            return f"http://127.0.0.1:{self._ports[unit, port]}"
        for outside, inside in found.balanced.items():
            if inside == port:
                return f"http://{self.names[self._description.balancer]}:{outside}"
        for name, target in self._description.names.items():
            for outside, inside in target.ports.items():
                if (target.unit, inside) == (unit, port):
                    return f"http://{self.names[name]}:{outside}"
        return f"http://{self.names[unit]}:{port}"

    def printed(self) -> str:
        """The end of what each of them printed."""
        everything = [each for instances in self._instances.values() for each in instances]
        return "\n".join(f"=== {each.unit.name}-{each.number}\n{each.printed()[-3000:]}" for each in everything)

    # -------------------------------------------------------------------------------------------------------- details

    def _instance(self, unit: Unit, number: int) -> Instance:
        folder = self.folder / f"{unit.name.strip('/').replace('/', '-')}-{number}"
        own = {path: folder / path.strip("/").replace("/", "-") for path in unit.private}
        for path in (folder, *own.values()):
            path.mkdir(exist_ok=True)
        links = self._links if unit.name in self._description.links else {}
        named = {key: value.replace(OWN_NAME, f"{unit.name}-{number}") for key, value in unit.environment.items()}
        unit = dataclasses.replace(unit, environment={**links, **named})
        address = self._address(unit.name, number)
        inside = Inside(address, self.names, own)
        make, met = partial(images.program, unit, inside, folder), partial(self._met, unit.needs)
        return Instance(unit, number, address, log=folder / "log.txt", make=make, met=met)

    def _met(self, needs: Sequence[str]) -> bool:
        return all(any(each.ready for each in self._instances[name]) for name in needs)

    def _address(self, unit: str, number: int) -> str:
        """An instance's address, the same for every start."""
        if (unit, number) not in self._addresses:
            self._addresses[unit, number] = self._network.address()
        return self._addresses[unit, number]

    def _publish(self, unit: str, outside: int, inside: int) -> None:
        """Lead a port of this machine to a unit's."""
        port = outside if self._published else 0
        port = self._forwards.listen("127.0.0.1", port, partial(self.targets, unit, inside))
        self._ports.setdefault((unit, inside), port)

    def _name(self, name: str, target: Name) -> None:
        """A server is reached without a detour, as there is one of it; what we wrote in turns."""
        direct = all(outside == inside for outside, inside in target.ports.items())
        if not target.ports or (direct and images.is_server(self.units[target.unit])):
            self.names[name] = self._address(target.unit, 0)
        else:
            self.names[name] = self._network.address()
            for outside, inside in target.ports.items():
                self._forwards.listen(self.names[name], outside, partial(self.targets, target.unit, inside))
        upper = name.upper().replace("-", "_")
        for port in list(target.ports)[:1]:
            where = self.names[name]
            self._links |= {
                f"{upper}_SERVICE_HOST": where,
                f"{upper}_SERVICE_PORT": str(port),
                f"{upper}_PORT": f"tcp://{where}:{port}",
                f"{upper}_PORT_{port}_TCP": f"tcp://{where}:{port}",
                f"{upper}_PORT_{port}_TCP_ADDR": where,
                f"{upper}_PORT_{port}_TCP_PORT": str(port),
            }


def _is_ready(instance: Instance) -> bool:
    if instance.error is not None:
        raise instance.error
    assert instance.starts <= MANY, f"{instance.unit.name} ends as soon as it is started"
    return instance.ready
