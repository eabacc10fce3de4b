"""The seam between the outbox and its engine: SQL on one side of it, everything else on the other."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import forwarder.outbox.sqlite as sqlite_package
from forwarder.outbox import operations
from forwarder.outbox.sqlite.engine import SqliteEngine

if TYPE_CHECKING:
    from forwarder.outbox.drivers import Driver
    from forwarder.outbox.engine import Engine

ROOT = Path(__file__).parents[3]
HOME = ROOT / "forwarder/outbox/sqlite"
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s.*INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|PRAGMA)\b",
    re.DOTALL,
)
MODULES = sorted(one for one in (ROOT / "forwarder").rglob("*.py") if HOME not in one.parents)


def strings(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("module", MODULES, ids=lambda one: str(one.relative_to(ROOT)))
def test_sql_is_written_in_its_home_alone(module: Path) -> None:
    """No string of any other module is a statement, in whatever way it would reach a database."""
    assert [one for one in strings(module) if SQL.search(one)] == []


def test_sql_would_be_found() -> None:
    """The pattern knows SQL where it sees it."""
    assert any(SQL.search(one) for one in strings(HOME / "operations.py"))


def test_every_operation_is_one_of_the_closed_set() -> None:
    """An operation that the type check of an engine does not know could only fail at night."""
    closed = {one.__name__ for one in operations.EveryOperation.__args__}
    # By name, because a class with slots is made anew, and the first one is still about.
    assert closed == {one.__name__ for one in operations.Operation.__subclasses__()}


def test_every_part_is_held_by_the_contract() -> None:
    """A module that is new in the outbox is under the contract that keeps SQL out of it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    sources = {one for each in contracts["contracts"] for one in each.get("source_modules", ())}
    parts = {f"forwarder.outbox.{one.stem}" for one in (ROOT / "forwarder/outbox").glob("*.py")}
    assert parts - {"forwarder.outbox.__init__"} <= sources


def test_sqlite_is_an_engine_and_a_driver() -> None:
    """The type check holds it to both; nothing is to be run for it."""
    driver: Driver = sqlite_package
    engine: type[Engine] = SqliteEngine
    assert (driver, engine) == (sqlite_package, driver.open_engine)
