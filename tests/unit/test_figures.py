"""The figures of the pages are those of the results files, and follow from what was run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.record import with_run
from figures import bench, chaos, replicas
from figures.__main__ import made
from figures.marks import by_machine, with_text

MADE = made()


@pytest.mark.parametrize("path", MADE, ids=lambda one: one.name)
def test_page_says_what_its_results_file_says(path: Path) -> None:
    """`make figures` brings it up to date; `make bench` and `make chaos` do so by themselves."""
    assert path.read_text() == MADE[path]


def test_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="the page has no place for devices"):
        with_text("# A page\n", "devices", "make bench", "")


def scenario(name: str, *runs: Mapping[str, Any]) -> bench.Scenarios:
    """One scenario as the file has it."""
    extent = {"seconds": 6, "rounds": 1}
    told = {
        "measured_at": "2026-11-29T00:00:00+00:00",
        "commit": "abc",
        "machine": "one",
        "load_before": 0.5,
        "extent": extent,
        "rows": [{"runs": list(runs)}],
    }
    return bench.read({"scenarios": {name: told}})


def of_throughput(program: str, rate: float, *, is_complete: bool = True) -> dict[str, Any]:
    return {
        "program": program,
        "max_inflight": 20,
        "rate": rate,
        "cpu_us": 100.0,
        "peak_mb": 90.0,
        "is_complete": is_complete,
    }


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [
        pytest.param(400.0, "| 0.40 | met\n", id="the aim itself is met"),
        pytest.param(390.0, "| 0.40 | **missed**\n", id="a little less is not"),
    ],
)
def test_aim_is_judged_beside_mq_bridge_in_the_same_run(rate: float, verdict: str) -> None:
    told = scenario(
        "peers-throughput", of_throughput("forwarder", rate), of_throughput("mq-bridge", 1000.0)
    )

    assert verdict in bench.figures_table(told)


def test_machine_is_told_once() -> None:
    """What its disk took is told of each."""
    told = by_machine(
        [("one, fsync 1 ms", "`a`"), ("other, fsync 2 ms", "`b`"), ("one, fsync 3 ms", "`c`")]
    )

    assert (
        told
        == "On one:\n\n- `a`, fsync 1 ms\n- `c`, fsync 3 ms\n\nOn other:\n\n- `b`, fsync 2 ms\n"
    )


def of_pages(load: str, *, has_pages: bool, p99_ms: float, rate: float = 1000.0) -> dict[str, Any]:
    figures = {"rate": rate, "cpu_us": 80.0, "p99_ms": p99_ms, "is_complete": True}
    return figures | {"load": load, "has_pages": has_pages}


@pytest.mark.parametrize(
    ("rate", "p99_ms", "verdicts"),
    [
        pytest.param(980.0, 7.0, ["| 0.98 | met", "| 1 ms | met"], id="as much as allowed"),
        pytest.param(
            979.0, 7.1, ["| 0.98 | **missed**", "| 1 ms | **missed**"], id="a little more"
        ),
    ],
)
def test_open_pages_are_judged_by_rate_and_by_p99(
    rate: float, p99_ms: float, verdicts: list[str]
) -> None:
    """The one at full load, the other at 200 readings a second."""
    told = scenario(
        "pages",
        of_pages("full", has_pages=False, p99_ms=90.0),
        of_pages("full", has_pages=True, p99_ms=190.0, rate=rate),
        of_pages("paced", has_pages=False, p99_ms=6.0),
        of_pages("paced", has_pages=True, p99_ms=p99_ms, rate=200.0),
    )

    rows = [
        line
        for line in bench.figures_table(told).splitlines()
        if " | met" in line or "missed" in line
    ]
    assert [row[-len(one) :] for row, one in zip(rows, verdicts, strict=True)] == verdicts


def test_edits_are_told_as_ratios_to_the_same_load_without() -> None:
    """Rate and CPU of a reading; the plain runs are the whole."""
    plain = {"is_plain": True, "rate": 1000.0, "cpu_us": 80.0}
    edited = {"is_plain": False, "rate": 900.0, "cpu_us": 100.0}

    table = bench.figures_table(scenario("edits", plain, edited))

    assert "to none | 0.90 of the rate, 1.25 of the CPU |" in table


def test_parts_of_a_reading_are_told_dearest_first() -> None:
    (told,) = scenario("account", {"cpu_us": 90.0}).values()
    alone = [{"normalise": 10.0, "dispatcher": 50.0}]

    assert "| 1.50 (90 µs; dispatcher 50, normalise 10) |" in bench.figures_table(
        {"account": replace(told, rows=[*told.rows, alone])}
    )


def test_run_that_lost_a_reading_counts_for_nothing() -> None:
    lost = of_throughput("forwarder", 900.0, is_complete=False)
    told = scenario("peers-throughput", lost, of_throughput("mq-bridge", 1000.0))

    assert "| void: readings are missing | 0.40 |\n" in bench.figures_table(told)


def paid(replicas: int, *, leader: float, others: float, database: float) -> list[dict[str, float]]:
    """A run's costs of a reading, in µs."""
    return [
        {
            "replicas": replicas,
            "leader_us": leader,
            "replicas_us": leader + others,
            "database_us": database,
        }
    ]


@pytest.mark.parametrize(
    ("some", "devices"),
    [
        pytest.param(
            paid(1, leader=200, others=0, database=100),
            210_000,
            id="at full load: 1 / 100 µs at 70 %",
        ),
        pytest.param(
            paid(4, leader=100, others=150, database=100),
            420_000,
            id="the leader has half as much to do",
        ),
        pytest.param(
            paid(2, leader=50, others=100, database=100),
            420_000,
            id="another is busier than the leader",
        ),
        pytest.param(
            paid(4, leader=20, others=60, database=400),
            420_000,
            id="the database is full: 4 / 200 µs at 70 %",
        ),
    ],
)
def test_computed_devices_end_where_the_first_is_full(
    some: list[dict[str, float]], devices: int
) -> None:
    one = paid(1, leader=200, others=0, database=100)
    full = paid(1, leader=100, others=0, database=50)

    assert replicas.devices_of(full, one, some) == devices


def on_replicas(*runs: tuple[int, float, float]) -> bench.Scenarios:
    """By how many there were, what a reading cost all of them, and the database."""
    told = [
        {"form": form, "replicas": count, "replicas_us": own, "database_us": database}
        for count, own, database in runs
        for form in bench.FORMS
    ]
    return scenario("replicas-costs", *told)


@pytest.mark.parametrize(
    ("of_four", "verdicts"),
    [
        pytest.param((4, 200.0, 100.0), ["| 2.00 | met |", "| 1.30 | met |"], id="within both"),
        pytest.param(
            (4, 201.0, 100.0), ["| 2.00 | **missed** |", "| 1.30 | met |"], id="replicas cost more"
        ),
        pytest.param(
            (4, 200.0, 105.0), ["| 2.00 | met |", "| 1.30 | **missed** |"], id="the database does"
        ),
    ],
)
def test_growth_of_costs_is_judged_by_the_worse(
    of_four: tuple[int, float, float], verdicts: list[str]
) -> None:
    told = on_replicas((1, 100.0, 80.0), (2, 160.0, 80.0), of_four)

    text = "".join(
        f"| {row.aim} | {row.verdict} |\n"
        for row in replicas.PARTS["replicas-costs"](told["replicas-costs"])
    )
    assert text.splitlines() == verdicts


@pytest.mark.parametrize(
    ("p99_ms", "cell"),
    [
        pytest.param(900.0, "**60,000**, p99 900 ms", id="in time"),
        pytest.param(1000.0, "fewer than 60,000, p99 1,000 ms", id="too late"),
    ],
)
def test_devices_count_when_their_readings_are_in_time(p99_ms: float, cell: str) -> None:
    run = {"devices": 60_000, "p99_ms": p99_ms, "is_complete": True}
    told = scenario("devices", run | {"form": "singly"}, run | {"form": "100 per POST"})

    assert f"\none machine of 2 cores | {cell} | {cell}\n" in bench.devices_table(told)


def of_chaos(scenario: str, **result: object) -> dict[str, Any]:
    verdict = {"lost": 0, "inversions": 0, "duplicates": 3, "delivered": 90}
    blank = {"scenario": scenario, "what": "a fault", "owed": 30, "hit": 2, "excused": 0}
    blank |= {"skipped": None, "is_control": False, "findings": [], "verdict": verdict}
    return blank | result


def chaos_run(*results: dict[str, Any], **run: str) -> dict[str, Any]:
    return {
        "seed": "1",
        "engine": "sqlite",
        "form": "full",
        "commit": "abc",
        "results": [*results],
    } | run


def test_control_is_not_part_of_the_sum() -> None:
    losing = {"lost": 99, "inversions": 0, "duplicates": 0, "delivered": 1}
    run = chaos_run(of_chaos("kill"), of_chaos("no-fsync", is_control=True, verdict=losing))

    assert "\n1 | SQLite | full | 2 | 2 | 30 | 90 | 3 | 0 | 0 | nothing\n" in chaos.runs_table(
        [run]
    )
    assert "no-fsync,a fault,SQLite,1,2,30,1,0,99,0,must lose\n" in chaos.scenarios_list([run])


def test_control_that_lost_nothing_is_told_as_one() -> None:
    nothing = {"lost": 0, "inversions": 0, "duplicates": 0, "delivered": 1}
    run = chaos_run(of_chaos("no-fsync", is_control=True, verdict=nothing))

    assert '0,0,"must lose, and lost nothing"\n' in chaos.scenarios_list([run])


def test_finding_stands_on_the_page_and_in_the_list() -> None:
    run = chaos_run(of_chaos("links", excused=4, findings=["acme: 1 readings are lost"]))

    assert chaos.findings_list([run]) == "- seed 1, `links`: acme: 1 readings are lost\n"
    assert ",4 excused; acme: 1 readings are lost\n" in chaos.scenarios_list([run])


def test_scenario_that_was_skipped_says_why() -> None:
    run = chaos_run(of_chaos("power", skipped="needs root"))

    assert "power,a fault,SQLite,1,,,,,,,skipped: needs root\n" in chaos.scenarios_list([run])


def test_scenario_that_is_played_again_takes_its_own_place() -> None:
    earlier = chaos_run(of_chaos("kill", owed=1), of_chaos("points"))

    (run,) = with_run([earlier], chaos_run(of_chaos("kill", owed=2)))

    assert [(one["scenario"], one["owed"]) for one in run["results"]] == [
        ("kill", 2),
        ("points", 30),
    ]


@pytest.mark.parametrize(
    ("earlier", "seeds"),
    [
        pytest.param(chaos_run(seed="2"), ["2", "1"], id="another seed stays"),
        pytest.param(chaos_run(seed="1"), ["1"], id="the same is replaced"),
        pytest.param(chaos_run(engine="postgresql"), ["1", "1"], id="another engine stays"),
        pytest.param(
            chaos_run(engine="postgresql", commit="old"),
            ["1", "1"],
            id="another engine stays, played with an earlier program",
        ),
        pytest.param(chaos_run(seed="2", commit="old"), ["1"], id="another program goes"),
        pytest.param(chaos_run(seed="2", form="short"), ["1"], id="another form goes"),
    ],
)
def test_record_holds_the_runs_of_one_program(earlier: dict[str, Any], seeds: list[str]) -> None:
    assert [one["seed"] for one in with_run([earlier], chaos_run())] == seeds


def test_results_files_hold_every_scenario_that_the_pages_show() -> None:
    """A part that is missing would leave its rows out without a word."""
    root = Path(__file__).parents[2]
    kept = json.loads((root / "docs/figures/bench.json").read_text())["scenarios"]

    assert {*kept} >= {*bench.SCENARIOS, *replicas.PARTS, "devices"}
