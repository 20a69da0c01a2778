"""`penstock deploy TARGET APP`: writes what runs the app elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from penstock.cli.app_path import AppPath
from penstock.cli.worker import Names
from penstock.client.loader import load_app
from penstock.core.errors import ConfigurationError
from penstock.core.url import scheme
from penstock.deploy.documents import TARGETS, document, files, parse_scale
from penstock.deploy.services import BACKENDS, BROKERS, Deployment

#: What a URL of the environment says about the kind of server.
_KINDS = {
    "sqlite": "sqlite",
    "redis": "redis",
    "rediss": "redis",
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "pyamqp": "rabbitmq",
    "postgresql": "postgres",
    "postgres": "postgres",
}


@click.command()
@click.argument("target", type=click.Choice(list(TARGETS)))
@click.argument("app_path", metavar="APP", envvar="PENSTOCK_APP")
@click.option("--name", help="What services are called after.  [the app's name]")
@click.option("--image", default="", help="The app's container image.  [its name]")
@click.option("--broker", type=click.Choice(BROKERS), help="Where messages wait.  [as the app's own]")
@click.option("--backend", type=click.Choice(BACKENDS), help="Where records live.  [as the broker, if it can]")
@click.option("--external", is_flag=True, help="Both run elsewhere already: their URLs are secrets.")
@click.option("-Q", "--queues", type=Names(), default=(), metavar="Q1,Q2", help="What workers take from.  [all]")
@click.option("--processes", type=click.IntRange(1, 4096), default=1, show_default=True, help="Of each worker.")
@click.option("--scale", multiple=True, metavar="worker=5", help="Instances of worker or api.  [1]")
@click.option("--domain", default="", help="The name under which the API is reached.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Of the API.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="A folder to write to.")
@click.option("--force", is_flag=True, help="Write over files that are there and differ.")
def command(
    target: str,
    app_path: str,
    *,
    name: str | None,
    output: Path | None,
    force: bool,
    scale: tuple[str, ...],
    **given: Any,
) -> None:
    """Write what runs APP elsewhere: one document, or with -o a folder with all that belongs to it.

    Secrets are referred to, never written. The same call writes the same text.
    """
    deployment = described(app_path, name, parse_scale(scale), **given)
    if output is None:
        click.echo(document(target, deployment), nl=False)
    else:
        write(output, files(target, deployment), force)


def described(
    app_path: str, name: str | None, scale: dict[str, int], *, broker: str | None, backend: str | None, **given: Any
) -> Deployment:
    """The deployment of an app; what is not given is as the app has it here."""
    app = load_app(AppPath().convert(app_path, None, None))
    here = _KINDS.get(scheme(app.settings.broker_url), "sqlite")
    records = _KINDS.get(scheme(app.settings.result_backend), "")
    return Deployment(
        name=name or re.sub(r"[^a-z0-9]+", "-", app.name.lower()).strip("-"),
        app=app_path,
        scale=scale,
        broker=broker or here,
        backend=backend or ("" if broker else records),
        grace=round(app.settings.grace),
        **given,
    )


def write(folder: Path, texts: dict[str, str], force: bool) -> None:
    """Write files and name them. Raises ConfigurationError, with nothing written, if one is there and differs."""
    changed = [name for name, text in texts.items() if (folder / name).exists() and (folder / name).read_text() != text]
    if changed and not force:
        raise ConfigurationError(
            f"{folder}: {', '.join(sorted(changed))} would be written over; --force does, another -o keeps them"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(texts.items()):
        (folder / name).write_text(text)
        click.echo(folder / name)
