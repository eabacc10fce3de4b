"""`forwarder completion` prints the code with which a shell completes commands, options, endpoints and devices."""

from typing import Literal

import click
from click.shell_completion import get_completion_class

from forwarder.cli.main import COMPLETION_VARIABLE, PROGRAM, cli

_INTO = {
    "bash": 'eval "$(forwarder completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(forwarder completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "forwarder completion fish | source   in ~/.config/fish/config.fish",
}


@click.command(
    "completion", short_help="Print shell completion", epilog="\b\n" + "\n".join(_INTO.values())
)
@click.argument("shell", type=click.Choice(sorted(_INTO)))
def command(shell: Literal["bash", "fish", "zsh"]) -> None:
    """Print shell completion: commands, options, endpoints, devices."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"click does not know {shell}")
    click.echo(completion(cli, {}, PROGRAM, COMPLETION_VARIABLE).source())
