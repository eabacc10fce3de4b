"""Texts for people name settings as people have to write them."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import click
from support.sources import tree

import forwarder
from forwarder.cli.main import cli
from forwarder.settings import PREFIX, settings_schema

PACKAGE = Path(forwarder.__file__).parent
NAMES = sorted((name.removeprefix(PREFIX) for name in settings_schema()["properties"]), key=len)
BARE = re.compile(rf"(?<![A-Z_{{])(?:{'|'.join(reversed(NAMES))})(?:_FILE)?(?![A-Z_])")


def spoken(tree: ast.AST) -> Iterator[str]:
    """The strings that a program may say: no docstrings, and nothing that follows the prefix itself."""
    silent: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as docstring):
                silent.add(docstring)
            case ast.JoinedStr(values=values):
                silent.update(
                    after
                    for before, after in itertools.pairwise(values)
                    if isinstance(before, ast.FormattedValue)
                    and ast.unparse(before.value) == "PREFIX"
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            yield node.value


def test_sentences_name_whole_variables() -> None:
    """`FORWARDER_TEMPLATE_FILE`, never `TEMPLATE_FILE`: that is what has to be set."""
    said = [(path.name, text) for path in PACKAGE.rglob("*.py") for text in spoken(tree(path))]

    assert len(said) > 1000
    assert [one for one in said if BARE.search(one[1]) and not BARE.fullmatch(one[1])] == []


def helps(group: click.Group) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield " ".join([command.help or "", *(str(one.to_info_dict()) for one in command.params)])
        if isinstance(command, click.Group):
            yield from helps(command)


def test_helps_name_whole_variables() -> None:
    """The help of each command and of each option."""
    assert [text for text in helps(cli) if BARE.search(text)] == []
