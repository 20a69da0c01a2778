"""Marathon's JSON. An app's address is marathon-lb's, at the service port of the app; secrets come from its store."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from penstock.deploy.services import SECRET, Deployment, Service

FIRST_PORT: Final = 10000  #: service ports are counted from here, in the order of the services
BALANCER: Final = "marathon-lb.marathon.mesos"


def document(deployment: Deployment, services: Sequence[Service]) -> str:
    """A group of apps, to be posted to /v2/groups."""
    listening = [service for service in services if service.port]
    ports = {service.name: FIRST_PORT + number for number, service in enumerate(listening)}
    apps = [_app(deployment, service, ports) for service in services]
    return json.dumps({"id": f"/{deployment.name}", "apps": apps}, indent=2) + "\n"


def _app(deployment: Deployment, service: Service, ports: Mapping[str, int]) -> dict[str, Any]:
    app = {
        "id": f"/{deployment.name}/{service.name}",
        "instances": service.instances,
        "cpus": 0.5,
        "mem": 512 if service.server else 256,
        **_started(service, deployment, ports),
        "container": _container(deployment, service, ports),
        "healthChecks": [_check(service)],
        "labels": _labels(deployment, service),
        "taskKillGracePeriodSeconds": service.stop,
        # a server's folder must not be used twice at once; of ours, half stay while the others are replaced
        "upgradeStrategy": {
            "minimumHealthCapacity": 0.0 if service.server else 0.5,
            "maximumOverCapacity": 0.0 if service.server else 0.5,
        },
        "dependencies": [] if service.server else [f"/{deployment.name}/{each.name}" for each in deployment.servers],
        # its folder is on one machine, which Marathon must be told
        "constraints": [["hostname", "LIKE", "{{HOSTNAME}}"]] if service.volume else [],
    }
    return {key: value for key, value in app.items() if value not in ({}, [])}


def _started(service: Service, deployment: Deployment, ports: Mapping[str, int]) -> dict[str, Any]:
    """Command, environment and secrets. A variable is a whole secret or none, so a shell puts the URLs together."""
    named = {name: {"secret": _key(name)} for name in service.secrets}
    plain = {name: value for name, value in service.environment.items() if not SECRET.search(value)}
    made = {
        name: _placed(value, deployment, ports)
        for name, value in service.environment.items()
        if SECRET.search(value) and name not in named
    }
    exports = "".join(f'export {name}="{value}" && ' for name, value in made.items())
    start = service.command or _ENTRY.get(service.name, ())
    sources = {_key(name): {"source": f"{deployment.name}/{name}"} for name in service.secrets}
    return {"cmd": f"{exports}exec {_shell(start)}", "env": {**plain, **named}, "secrets": sources}


#: What the images of these servers start by themselves; with a `cmd` of ours it must be said.
_ENTRY: Final = {
    "rabbitmq": ("docker-entrypoint.sh", "rabbitmq-server"),
    "postgres": ("docker-entrypoint.sh", "postgres"),
}


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def _placed(value: str, deployment: Deployment, ports: Mapping[str, int]) -> str:
    for server in deployment.servers:
        value = value.replace(f"@{server.name}:{server.port}", f"@{BALANCER}:{ports[server.name]}")
    return value


def _shell(command: Sequence[str]) -> str:
    """One line for a shell, the references to secrets left for it to fill in."""
    return " ".join(f'"{word}"' if SECRET.search(word) else shlex.quote(word) for word in command)


def _container(deployment: Deployment, service: Service, ports: Mapping[str, int]) -> dict[str, Any]:
    mapping = {"containerPort": service.probe.port, "hostPort": 0, "protocol": "tcp", "name": service.name}
    if service.port:
        mapping["servicePort"] = ports[service.name]
    docker = {"image": service.image, "network": "BRIDGE", "portMappings": [mapping]}
    volume = {
        "containerPath": service.volume,
        "hostPath": f"/var/lib/{deployment.name}/{service.name}",
        "mode": "RW",
    }
    return {"type": "DOCKER", "docker": docker, "volumes": [volume] if service.volume else []}


def _labels(deployment: Deployment, service: Service) -> dict[str, str]:
    """What marathon-lb makes HAProxy's configuration of."""
    if not service.port:
        return {}
    mode = {"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "tcp" if service.server else "http"}
    return mode | ({"HAPROXY_0_VHOST": deployment.domain} if deployment.domain and not service.server else {})


def _check(service: Service) -> dict[str, Any]:
    timing = {"gracePeriodSeconds": 60, "intervalSeconds": 10, "timeoutSeconds": 5, "maxConsecutiveFailures": 3}
    if service.probe.path:
        return {"protocol": "MESOS_HTTP", "path": service.probe.path, "portIndex": 0, **timing}
    return {"protocol": "MESOS_TCP", "portIndex": 0, **timing}
