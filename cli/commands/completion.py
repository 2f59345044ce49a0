"""`concento completion`: what a shell needs to complete our commands."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from cli.context import Context, with_context
from cli.grammar import Verb

_VARIABLE: Final = "_CONCENTO_COMPLETE"
_PLACES: Final = {
    "bash": 'eval "$(concento completion bash)"          in ~/.bashrc',
    "zsh": 'eval "$(concento completion zsh)"           in ~/.zshrc',
    "fish": "concento completion fish | source            in ~/.config/fish/config.fish",
}


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(sorted(_PLACES)))
@with_context
def completion(context: Context, shell: str) -> None:
    """Print the completion script of a SHELL.

    \b
    eval "$(concento completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion is known for {shell}")
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "concento", _VARIABLE).source()
    context.printer.result({"shell": shell, "script": script}, lambda document: [document["script"]])
    context.printer.detail(f"Put this into your shell: {_PLACES[shell]}")
