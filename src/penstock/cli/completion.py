"""`penstock completion SHELL`: what makes the shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in your shell.

    \b
    bash:  echo 'eval "$(penstock completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(penstock completion zsh)"' >> ~/.zshrc
    fish:  penstock completion fish > ~/.config/fish/completions/penstock.fish
    """  # noqa: D301  (a backspace tells Click to leave the lines as they are)
    kind = get_completion_class(shell)
    assert kind is not None, "Click knows these shells"
    click.echo(kind(ctx.find_root().command, {}, "penstock", "_PENSTOCK_COMPLETE").source())
