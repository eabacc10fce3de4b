"""Groups of commands. Their help cuts nothing, and they guess what a mistyped command was meant to be."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

import click

LONGEST_SUMMARY = 54
"""Most letters of a command's summary that fit one line of a terminal of 80 columns."""


class CommandGroup(click.Group):
    """A group with its commands' summaries whole, under the headings of `sections`, if any."""

    sections: Mapping[str, tuple[str, ...]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        is_unknown = self.get_command(ctx, name) is None and not name.startswith("-")
        if is_unknown and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {name!r}.{self._meant(ctx, name)}", ctx)
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, name: str) -> str:
        options = [option for parameter in self.get_params(ctx) for option in parameter.opts]
        near = difflib.get_close_matches(name, [*self.list_commands(ctx), *options], n=1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        width = max(map(len, names))
        for title, section in (self.sections or {"Commands": tuple(names)}).items():
            with formatter.section(title):
                rows = [(name.ljust(width), text) for name, text in self._summaries(ctx, section)]
                formatter.write_dl(rows)

    def _summaries(self, ctx: click.Context, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            command = self.get_command(ctx, name)
            assert command is not None  # noqa: S101 - a section names commands that there are
            yield name, summary(command)


def summary(command: click.Command) -> str:
    """A command's purpose in a few words."""
    return command.short_help or (command.help or "").partition("\n")[0]
