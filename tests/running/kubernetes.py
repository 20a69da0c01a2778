"""Reads Kubernetes' manifests: Deployments, StatefulSets, Services, ConfigMaps and references to Secrets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.running.marathon import is_own
from tests.running.units import OWN_NAME, Check, Description, Name, Unit

_RUNS = ("Deployment", "StatefulSet")


def read(files: list[Path], secrets: Mapping[str, str], folder: Path, dockerfile: Path | None) -> Description:
    """The objects of `files`; a Secret's keys are looked up in `secrets`, images of our own built from `dockerfile`."""
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in objects if each["kind"] == "ConfigMap"}
    reader = _Reader(secrets, maps, folder, dockerfile)
    runs = [each for each in objects if each["kind"] in _RUNS]
    units = tuple(reader.unit(each) for each in runs)
    names, by_name = {}, {unit.name: unit for unit in units}
    for service in (each for each in objects if each["kind"] == "Service"):
        for unit, ports in _behind(service, runs):
            names[service["metadata"]["name"]] = Name(unit, ports)
            by_name[unit] = dataclasses.replace(
                by_name[unit], ports=tuple(dict.fromkeys((*by_name[unit].ports, *ports.values())))
            )
    links = {
        each["metadata"]["name"] for each in runs if each["spec"]["template"]["spec"].get("enableServiceLinks", True)
    }
    return Description(tuple(by_name.values()), names, frozenset(links))


def _behind(service: Mapping[str, Any], runs: list[dict[str, Any]]) -> Iterator[tuple[str, dict[int, int]]]:
    """What a Service's selector finds, with its ports and theirs."""
    selector = service["spec"].get("selector", {})
    for each in runs:
        template = each["spec"]["template"]
        if selector.items() <= template["metadata"]["labels"].items():
            named = _named(template["spec"]["containers"][0])
            ports = {
                port["port"]: _number(port.get("targetPort", port["port"]), named) for port in service["spec"]["ports"]
            }
            yield each["metadata"]["name"], ports


def _named(container: Mapping[str, Any]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container.get("ports", ()) if "name" in port}


def _number(port: int | str, named: Mapping[str, int]) -> int:
    return named[port] if isinstance(port, str) else port


@dataclasses.dataclass(frozen=True, slots=True)
class _Reader:
    secrets: Mapping[str, str]
    maps: Mapping[str, Mapping[str, str]]
    folder: Path
    dockerfile: Path | None

    def unit(self, run: Mapping[str, Any]) -> Unit:
        pod = run["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        named = _named(container)
        probes = {kind: _probe(container.get(f"{kind}Probe"), named) for kind in ("startup", "liveness", "readiness")}
        alive, begun = probes["liveness"], probes["startup"]
        if alive and begun:  # nothing else is asked before it has started
            alive = dataclasses.replace(alive, grace=begun.every * begun.failures)
        kept = {claim["metadata"]["name"] for claim in run["spec"].get("volumeClaimTemplates", ())}
        kept |= {volume["name"] for volume in pod.get("volumes", ()) if "emptyDir" in volume}
        mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", ())}
        before = container.get("lifecycle", {}).get("preStop", {})
        return Unit(
            name=run["metadata"]["name"],
            image=container["image"],
            build=self.dockerfile if is_own(container["image"]) else None,
            entrypoint=tuple(container["command"]) if "command" in container else None,
            command=tuple(container["args"]) if "args" in container else () if "command" in container else None,
            environment=self._environment(container),
            ports=tuple(port["containerPort"] for port in container.get("ports", ())),
            volumes=self._files(pod, mounts),
            private=tuple(path for path, name in mounts.items() if name in kept),
            replicas=run["spec"].get("replicas", 1),
            alive=alive,
            ready=probes["readiness"] or begun,
            before_stop=_before(before),
            stop=pod.get("terminationGracePeriodSeconds", 30),
        )

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in container.get("env", ()):
            source = each.get("valueFrom", {})
            if source.get("fieldRef", {}).get("fieldPath") == "metadata.name":
                found[each["name"]] = OWN_NAME
            elif "secretKeyRef" in source:
                found[each["name"]] = self.secrets[source["secretKeyRef"]["key"]]
            elif "configMapKeyRef" in source:
                found[each["name"]] = self.maps[source["configMapKeyRef"]["name"]][source["configMapKeyRef"]["key"]]
            elif "value" in each:
                found[each["name"]] = _referred(each["value"], found)
        return found

    def _files(self, pod: Mapping[str, Any], mounts: Mapping[str, str]) -> dict[str, Path]:
        """The folders of ConfigMaps, written down."""
        sources = {each["name"]: each["configMap"]["name"] for each in pod.get("volumes", ()) if "configMap" in each}
        places = {}
        for path, name in mounts.items():
            if name in sources:
                places[path] = self.folder / f"configmap-{sources[name]}"
                places[path].mkdir(exist_ok=True)
                for file, text in self.maps[sources[name]].items():
                    (places[path] / file).write_text(text)
        return places


def _referred(value: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` stands for a variable above."""
    for name, other in known.items():
        value = value.replace(f"$({name})", other)
    return value


def _before(given: Mapping[str, Any]) -> tuple[str, ...]:
    if "sleep" in given:
        return ("sleep", str(given["sleep"]["seconds"]))
    return tuple(given.get("exec", {}).get("command", ()))


def _probe(given: Mapping[str, Any] | None, named: Mapping[str, int]) -> Check | None:
    if given is None:
        return None
    where = given.get("httpGet") or given.get("tcpSocket") or {}
    return Check(
        port=_number(where["port"], named) if where else 0,
        path=where.get("path", "/") if "httpGet" in given else "",
        command=tuple(given.get("exec", {}).get("command", ())),
        every=given.get("periodSeconds", 10),
        timeout=given.get("timeoutSeconds", 1),
        failures=given.get("failureThreshold", 3),
        grace=given.get("initialDelaySeconds", 0),
    )
