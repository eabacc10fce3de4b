"""The command `forwarder` finds the asked command's module, and ends every error as one sentence on stderr."""

import importlib
import sys

import click
from click.shell_completion import CompletionItem

from forwarder import __version__
from forwarder.cli.groups import CommandGroup
from forwarder.cli.output import say
from forwarder.errors import ForwarderError

COMMANDS = {
    "run": "run",
    "demo": "demo",
    "init": "init",
    "check": "check",
    "routes": "routes",
    "decode": "decode",
    "send-test": "send_test",
    "certify": "certify",
    "listen": "listen",
    "simulate": "simulate",
    "dead-letters": "dead_letters",
    "deliveries": "deliveries",
    "devices": "devices",
    "endpoints": "endpoints",
    "quarantine": "quarantine",
    "status": "status",
    "audit": "audit",
    "purge": "purge",
    "health": "health",
    "outbox": "outbox",
    "secret": "secret",
    "schema": "schema",
    "completion": "completion",
}
"""Each command and its module in this package, which holds it as `command`."""

PROGRAM = "forwarder"
COMPLETION_VARIABLE = "_FORWARDER_COMPLETE"
"""The variable by which a shell asks for completions. click derives it from the program's name."""

SECTIONS = {
    "Service": ("init", "run", "check", "endpoints", "secret", "health", "completion"),
    "Look": ("status", "devices", "deliveries", "routes", "audit"),
    "Repair": ("dead-letters", "quarantine", "outbox", "purge"),
    "Try": ("demo", "send-test", "certify", "listen", "decode", "simulate", "schema"),
}
"""Each command under its heading, as the help shows them."""


class LazyGroup(CommandGroup):
    """Imports only the module of the asked command, because `forwarder health` runs every few seconds."""

    sections = SECTIONS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"forwarder.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names without imports. click would import every command for its summary, while somebody waits."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Forward whatwatt Go telemetry from MQTT to signed webhooks, losing nothing on the way."""


def main() -> None:
    """Run the command line; exit 0 when fine, 1 when it failed, 2 when what was given is invalid."""
    try:
        run_command_line()
    except ForwarderError as error:
        say(str(error).split("\n"))
        sys.exit(error.exit_code)


def run_command_line() -> None:
    """Run the command line, and write all buffers before it ends."""
    try:
        cli(prog_name=PROGRAM)
    finally:
        sys.stdout.flush()
