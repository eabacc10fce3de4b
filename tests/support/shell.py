"""A harness of the operator's commands, run as by hand but in this process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click.testing
from support.ports import free_port

from forwarder.cli.main import cli

ROUTES = """
endpoints:
  acme: {url: "https://acme.example/hook", secret: "env:NOT_IN_THIS_SHELL", devices: "*"}
  home: {url: "https://home.example/hook", secret: "env:NOT_IN_THIS_SHELL", devices: "*", mode: latest}
"""


@dataclass
class Operator:
    """A person at a shell, in a folder with routes.yaml and an outbox."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, typed: str = "") -> click.testing.Result:
        runner = click.testing.CliRunner(env=self.environment)
        return runner.invoke(cli, arguments, input=typed)

    def says(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        result = self.run(*arguments)
        assert result.exception is None, result.exception
        assert result.exit_code == 0
        return result.output

    def json(self, *arguments: str) -> Any:
        return json.loads(self.says(*arguments, "--json"))

    def fails(self, *arguments: str) -> str:
        """The sentence with which a failing command ends."""
        result = self.run(*arguments)
        assert result.exit_code != 0
        return (
            str(result.exception) if result.exception.__class__ is not SystemExit else result.output
        )

    def write_routes(self, text: str) -> None:
        (self.folder / "routes.yaml").write_text(text)


def operator_in(folder: Path) -> Operator:
    """An operator who works in this folder, where no service runs yet."""
    environment = {"FORWARDER_HTTP_LISTEN": f"127.0.0.1:{free_port()}", "COLUMNS": "100"}
    operator = Operator(folder, environment)
    operator.write_routes(ROUTES)
    return operator
