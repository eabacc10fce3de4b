"""How SQLite finds the rows of a list: a million of them must not be looked through, nor sorted."""

from itertools import combinations
from pathlib import Path

import pytest
from support.outbox_builder import NOW, ZURICH, OutboxBuilder

from forwarder.outbox import Selection
from forwarder.outbox.sql import records
from forwarder.outbox.sql.records import Clauses
from forwarder.outbox.sqlite import file as outbox_file

FILTERS = {"endpoint": "acme", "device": ZURICH, "since": NOW, "until": NOW + 60}
LIMITS = {"limit": 101}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    built = OutboxBuilder(tmp_path / "outbox.db")
    built.delivery("acme", "dead")
    return built.path


def plan(path: Path, query: Clauses) -> list[str]:
    connection = outbox_file.connect(path, is_read_only=True)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters).fetchall()
    connection.close()
    return [row[3] for row in rows]


def selections(**further: object) -> list[Selection]:
    """Every combination of filters."""
    names = {**FILTERS, **further}
    every = [some for count in range(len(names) + 1) for some in combinations(names, count)]
    return [Selection(**{name: names[name] for name in some}, **LIMITS) for some in every]  # type: ignore[arg-type] # each name has its own type


def assert_bounded(plan: list[str]) -> None:
    assert not [step for step in plan if step.startswith("SCAN")], plan
    # The endpoints of one reading are sorted, a few rows at a time.
    sorts = [
        step
        for step in plan
        if "TEMP B-TREE" in step and "LAST TERM" not in step and "RIGHT PART" not in step
    ]
    assert not sorts, plan


@pytest.mark.parametrize("after", [(), (5, 1)])
def test_deliveries_are_bounded(path: Path, after: tuple[int, ...]) -> None:
    """Whatever they are narrowed down by, a range of readings is walked, in order."""
    for selection in selections(state="dead"):
        bounded = Selection(
            **{name: getattr(selection, name) for name in (*FILTERS, "state", "limit")},
            readings=(1, 9),
            after=after,
        )
        assert_bounded(plan(path, records.deliveries(bounded)))


@pytest.mark.parametrize("after", [(), (NOW, 5, 1)])
def test_dead_letters_are_found_by_an_index(path: Path, after: tuple[float, ...]) -> None:
    """Those of an endpoint, a device or a reason are found without looking at the others."""
    for selection in selections(reason="refused"):
        chosen = Selection(
            **{name: getattr(selection, name) for name in (*FILTERS, "reason", "limit")},
            after=after,
        )
        steps = plan(path, records.dead_letters(chosen))
        assert_bounded(steps)
        # Between two instants the dead letters of that time are bounded too.
        if chosen.until is None and (chosen.endpoint or chosen.device or chosen.reason):
            assert any("delivery_dead_" in step for step in steps), steps


@pytest.mark.parametrize("after", [(), (5,)])
@pytest.mark.parametrize("narrowed", [{}, {"device": ZURICH}, {"reason": "not_json"}])
def test_the_quarantine_is_found_by_an_index(
    path: Path, narrowed: dict[str, str], after: tuple[int, ...]
) -> None:
    """It is walked in order of arrival, from the cursor on, or that of one device or reason."""
    query = records.quarantined(Selection(**narrowed, **LIMITS, after=after))  # type: ignore[arg-type] # as above
    (step,) = plan(path, query)
    assert "TEMP B-TREE" not in step
    assert not step.startswith("SCAN") or not (narrowed or after)
