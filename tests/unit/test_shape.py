"""The code keeps its shape: small classes, short functions, and no circle of imports that only type checkers see."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.sources import nodes

import forwarder

SOURCES = sorted(Path(forwarder.__file__).parent.rglob("*.py"))
MOST_METHODS = 30
MOST_LINES = 40
LONGER = {
    "forwarder/metrics.py: _add_service": "a table of metrics",
    "forwarder/outbox/outbox.py: __init__": "makes the outbox's parts and joins them, in the one order that works",
    "forwarder/outbox/sql/operations.py: _perform": "a match, with a case for each operation",
    "forwarder/outbox/sqlite/migrations.py: account_for_the_quarantine": "a migration, which stays as it was released",
}
"""Functions that are longer, and why."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    root = Path(forwarder.__file__).parent.parent
    for source in SOURCES:
        where = source.relative_to(root).as_posix()
        for node in nodes(source):
            yield where, node


def _lines(function: Function) -> int:
    """Those of its docstring are not counted."""
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function) is not None:
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def test_no_class_has_more_than_thirty_methods() -> None:
    """What needs more does more than one thing."""
    methods = {
        f"{where}: {node.name}": sum(isinstance(one, Function) for one in node.body)
        for where, node in _nodes()
        if isinstance(node, ast.ClassDef)
    }
    assert len(methods) > 100
    assert {name: count for name, count in methods.items() if count > MOST_METHODS} == {}


def test_no_function_is_long_but_for_those_named() -> None:
    """Nor is any named that is short by now."""
    long = {
        f"{where}: {node.name}"
        for where, node in _nodes()
        if isinstance(node, Function) and _lines(node) > MOST_LINES
    }
    assert long == set(LONGER)


def test_no_module_of_ours_is_imported_for_type_checkers_alone() -> None:
    """Such an import hides a circle: two modules that know each other."""
    hidden = [
        (where, inner.module)
        for where, node in _nodes()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("forwarder")
    ]
    assert hidden == []
