"""OpenAPI 3.1 from the route table, with one operation for every task that is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from penstock.api import problems
from penstock.api.route import Body, Parameter, Response, Route
from penstock.api.schemas import COMPONENTS, Schema, ref

PROBLEM_JSON = "application/problem+json"

#: What the headers of problems say; the same wherever they occur.
HEADERS = {
    401: {"WWW-Authenticate": "which credentials are wanted"},
    429: {"Retry-After": "seconds", "RateLimit": "what is left", "RateLimit-Policy": "the limit"},
    503: {"Retry-After": "seconds"},
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(
    routes: tuple[Route, ...], name: str, version: str, tasks: Mapping[str, Schema], *, keys: bool
) -> dict[str, Any]:
    """The description of the API of the app `name`.

    `tasks`: argument schemas by name. `keys`: whether keys are needed.
    """
    components = dict(COMPONENTS)
    paths: dict[str, dict[str, Any]] = {}
    by_name = next(route for route in routes if (route.method, route.path) == ("POST", "/tasks/{task}"))
    taken = {route.path for route in routes}
    for task, schema in sorted(tasks.items()):
        path = f"/tasks/{quote(task, safe='')}"
        if path not in taken:
            paths[path] = {"post": _task(by_name, task, _adopted(task, schema, components), keys)}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, keys)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version, "description": "Tasks of this app, queued and run by Penstock."},
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(status): _problem(status) for status in sorted(_statuses(routes))},
            **({"securitySchemes": SECURITY} if keys else {}),
        },
    }


def _statuses(routes: tuple[Route, ...]) -> set[int]:
    return {status for route in routes for status in route.refusals}


def _operation(route: Route, keys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _operation_id(route.method, route.path),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": {
            **{str(status): _response(response) for status, response in sorted(route.responses.items())},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in route.refusals},
        },
        "x-scope": route.scope,
    }
    if route.description:
        found["description"] = route.description
    if route.parameters:
        found["parameters"] = [_parameter(each) for each in route.parameters]
    if route.body is not None:
        found["requestBody"] = _body(route.body)
    if keys and route.scope != "none":
        found["security"] = [{scheme: []} for scheme in SECURITY]
    return found


def _operation_id(method: str, path: str) -> str:
    words = re.sub(r"\W+", "_", path).strip("_") or "home"
    return f"{method.lower()}_{words}"


def _task(route: Route, task: str, schema: Schema, keys: bool) -> dict[str, Any]:
    """The operation of one task: that of POST /tasks/{task} with its own arguments."""
    found = _operation(route, keys)
    described = schema.get("description", "")
    return {
        **found,
        "operationId": f"submit_{_identifier(task)}",
        "tags": ["Your tasks"],
        "summary": f"Queue {task}",
        "description": f"{described}\n\n{route.description}".strip(),
        "parameters": [_parameter(each) for each in route.parameters if each.where != "path"],
        "requestBody": {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": ref(f"{_identifier(task)}.arguments")}},
        },
    }


def _adopted(task: str, schema: Schema, components: dict[str, Schema]) -> Schema:
    """Make the schema and its definitions components, as references in OpenAPI start at the document's root."""
    prefix = _identifier(task)
    own = {name: each for name, each in schema.items() if name != "$defs"}
    for name, definition in schema.get("$defs", {}).items():
        components[f"{prefix}.{_identifier(name)}"] = _redirected(definition, prefix)
    components[f"{prefix}.arguments"] = _redirected(own, prefix)
    return own


def _redirected(schema: Any, prefix: str) -> Any:
    if isinstance(schema, list):
        return [_redirected(each, prefix) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        word: f"#/components/schemas/{prefix}.{_identifier(each.rpartition('/')[2])}"
        if word == "$ref" and isinstance(each, str)
        else _redirected(each, prefix)
        for word, each in schema.items()
    }


def _identifier(name: str) -> str:
    """A name as components may be called; what does not fit is written by its number, so that no two names meet."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_" if found[0] != "_" else "_", name)


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: Mapping[str, Any] = parameter.schema
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.summary,
        "required": parameter.where == "path",
        "schema": {"type": "array", "items": schema} if parameter.many else schema,
    }


def _body(body: Body) -> dict[str, Any]:
    return {"required": body.required, "content": {kind: {"schema": schema} for kind, schema in body.types.items()}}


def _response(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = {"description": response.description}
    if response.schema is not None:
        found["content"] = {response.content_type: {"schema": response.schema}}
    if response.headers:
        found["headers"] = _headers(response.headers)
    if response.links:
        found["links"] = {
            _operation_id(link.method, link.path): {
                "operationId": _operation_id(link.method, link.path),
                "parameters": {link.parameter: f"$response.body#{link.pointer}"},
            }
            for link in response.links
        }
    return found


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": problems.title(status),
        "content": {PROBLEM_JSON: {"schema": ref("Problem")}},
    }
    if status in HEADERS:
        found["headers"] = _headers(HEADERS[status])
    return found


def _headers(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}
