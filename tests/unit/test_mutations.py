"""The list of mutations does not rot: each can be made still, and its test is there. `make mutations` makes them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]


def test_every_mutation_can_be_made() -> None:
    """Its text is in the file once and holds no comment, and Python comes of it."""
    for one in MUTATIONS:
        assert "#" not in one.old, one.mistake
        ast.parse(one.made_in((ROOT / "forwarder/outbox" / one.file).read_text()), one.mistake)


def test_every_test_is_there() -> None:
    """With its class, in the file that is named."""
    missing = [one.found_by for one in MUTATIONS if one.found_by.partition("[")[0] not in nodes()]
    assert missing == []


def test_every_mistake_is_told_once() -> None:
    assert len({one.mistake for one in MUTATIONS}) == len(MUTATIONS)


@cache
def nodes() -> frozenset[str]:
    """Nodes in the files that are named, without parameters."""
    files = {one.found_by.partition("::")[0] for one in MUTATIONS}
    trees = {file: ast.parse((ROOT / "tests" / file).read_text()) for file in files}
    return frozenset(f"{file}{name}" for file, tree in trees.items() for name in _named(tree.body))


def _named(body: list[ast.stmt]) -> Iterator[str]:
    for one in body:
        if isinstance(one, ast.ClassDef):
            yield from (f"::{one.name}{name}" for name in _named(one.body))
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"::{one.name}"
