"""The seam between the outbox and its engine: SQL on one side of it, everything else on the other."""

import ast
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sources import nodes

import forwarder.outbox.postgresql as postgresql_package
import forwarder.outbox.sqlite as sqlite_package
from forwarder.errors import SettingsError
from forwarder.outbox import exists, operations
from forwarder.outbox.postgresql.engine import PostgresEngine
from forwarder.outbox.sqlite.engine import SqliteEngine
from forwarder.settings import Database

if TYPE_CHECKING:
    from forwarder.outbox.drivers import Driver
    from forwarder.outbox.engine import Engine

ROOT = Path(__file__).parents[3]
HOMES = [ROOT / "forwarder/outbox" / name for name in ("sql", "sqlite", "postgresql")]
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s.*INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|PRAGMA)\b",
    re.DOTALL,
)
MODULES = sorted(
    one for one in (ROOT / "forwarder").rglob("*.py") if not set(HOMES) & set(one.parents)
)


def strings(module: Path) -> Iterator[str]:
    for node in nodes(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_sql_is_written_in_its_home_alone() -> None:
    """No string of any other module is a statement, in whatever way it would reach a database."""
    written = [(module, one) for module in MODULES for one in strings(module)]

    assert len(written) > 1000
    assert [one for one in written if SQL.search(one[1])] == []


def test_sql_would_be_found() -> None:
    """The pattern knows SQL where it sees it."""
    assert any(SQL.search(one) for one in strings(HOMES[0] / "operations.py"))


def test_every_operation_is_one_of_the_closed_set() -> None:
    """An operation that the type check of an engine does not know could only fail at night."""
    closed = {one.__name__ for one in operations.EveryOperation.__args__}
    # By name, because a class with slots is made anew, and the first one is still about.
    assert closed == {one.__name__ for one in operations.Operation.__subclasses__()}


def sources_without_sql(*, as_packages: bool) -> set[str]:
    """What the contracts of pyproject.toml keep SQL out of: modules with all below them, or each by itself."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {
        source
        for contract in linter["contracts"]
        if {"sqlite3", "psycopg"} <= set(contract.get("forbidden_modules", ()))
        and contract.get("as_packages", True) is as_packages
        for source in contract["source_modules"]
    }


def test_every_part_is_held_by_the_contract() -> None:
    """A module that is new in the outbox is under the contract that keeps SQL out of it."""
    parts = {f"forwarder.outbox.{one.stem}" for one in (ROOT / "forwarder/outbox").glob("*.py")}
    assert parts - {"forwarder.outbox.__init__"} <= sources_without_sql(as_packages=False)


def test_everything_beside_the_outbox_is_held_by_the_contract() -> None:
    """A module or package that is new in the program is under the contract that keeps SQL out of it."""
    found = {f"forwarder.{name}" for _, name, _ in pkgutil.iter_modules([str(ROOT / "forwarder")])}
    assert found - {"forwarder.outbox"} <= sources_without_sql(as_packages=True)


def test_sqlite_is_an_engine_and_a_driver() -> None:
    """The type check holds it to both; nothing is to be run for it."""
    driver: Driver[Path] = sqlite_package
    engine: type[Engine] = SqliteEngine
    assert (driver, engine) == (sqlite_package, SqliteEngine)


def test_postgresql_is_an_engine_and_a_driver() -> None:
    driver: Driver[Database] = postgresql_package
    engine: type[Engine] = PostgresEngine
    assert (driver, engine) == (postgresql_package, PostgresEngine)


def test_missing_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    for name in [one for one in sys.modules if one.startswith("forwarder.outbox.postgresql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"install whatwatt-forwarder\[postgresql\]"):
        exists(Database("postgresql://u:p@h/d"))
