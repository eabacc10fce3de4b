"""The judge of the long run: what is flat passes, what grows does not."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chaos.endurance.__main__ import OF_THE_PAGES, keep
from chaos.endurance.entries import Entry, Sample, Span, read, samples_in
from chaos.endurance.form import LONG, MIB, SHORT, Form
from chaos.endurance.record import Record
from chaos.endurance.slopes import Bound, examine, settled, theil_sen
from monitoring.recording import read_recording

FORMS = [pytest.param(LONG, id="long"), pytest.param(SHORT, id="short")]
LEAK_BYTES = 1024
READINGS_A_SECOND = 50
DELIVERIES_A_SECOND = 230


def sample(at: float, **changes: float) -> Sample:
    usual = {
        "rss_bytes": 64 * MIB,
        "descriptors": 70,
        "threads": 8,
        "log_bytes": 4 * MIB,
        "file_bytes": 4 * MIB,
        "pending": 20,
        "delivered": DELIVERIES_A_SECOND * at,
        "dead": 10,
    }
    return Sample(at=at, **{name: int(value) for name, value in (usual | changes).items()})


def run_of(form: Form, **quantities: Callable[[float], float]) -> list[Sample]:
    """A run of that form in which each quantity named follows its own course, of seconds since the beginning."""
    moments = [form.sample_every * n for n in range(int(60 * form.minutes / form.sample_every))]
    return [
        sample(at, **{name: course(at) for name, course in quantities.items()}) for at in moments
    ]


def growing(samples: Sequence[Sample], form: Form) -> list[str]:
    return [one.bound.quantity for one in examine(samples, form.bounds) if not one.is_flat]


@pytest.mark.parametrize("form", FORMS)
def test_a_flat_run_passes(form: Form) -> None:
    """What stays as it is grows by nothing."""
    assert growing(run_of(form), form) == []


@pytest.mark.parametrize("form", FORMS)
def test_noise_and_peaks_pass(form: Form) -> None:
    """Backlogs that come and go, a sawtooth, a process that breathes: all of that is flat."""
    dice = random.Random(1)
    samples = run_of(
        form,
        rss_bytes=lambda at: 64 * MIB + dice.uniform(-0.2, 0.2) * MIB,
        descriptors=lambda _: dice.randrange(60, 80),
        file_bytes=lambda at: 4 * MIB + 0.3 * MIB * math.sin(at / 5),
        pending=lambda at: 2000 if at % 60 < 8 else 20,
    )
    assert growing(samples, form) == []


@pytest.mark.parametrize("form", FORMS)
def test_growth_in_the_warm_up_passes(form: Form) -> None:
    """What grows in the first third and stands still then has found its size."""
    warm = 20 * form.minutes
    samples = run_of(form, rss_bytes=lambda at: MIB * (60 + 10 * min(at, warm) / warm))
    assert growing(samples, form) == []


@pytest.mark.parametrize(
    ("form", "leaks_a_second"),
    [
        pytest.param(LONG, READINGS_A_SECOND, id="long"),
        pytest.param(SHORT, DELIVERIES_A_SECOND, id="short"),
    ],
)
@pytest.mark.parametrize("quantity", ["rss_bytes", "file_bytes"])
def test_a_kilobyte_is_found(form: Form, leaks_a_second: int, quantity: str) -> None:
    """A leak of one kilobyte for each reading, in the short form for each delivery, fails under a process's noise."""
    dice = random.Random(1)

    def leaking(at: float) -> float:
        return 60 * MIB + LEAK_BYTES * leaks_a_second * at + dice.uniform(0, MIB / 2)

    assert growing(run_of(form, **{quantity: leaking}), form) == [quantity]


def test_a_descriptor_left_open_by_each_fault_is_found() -> None:
    """One descriptor that each failing receiver leaves behind fails the long form."""
    samples = run_of(LONG, descriptors=lambda at: 30 + at // LONG.receiver_every)
    assert growing(samples, LONG) == ["descriptors"]


def test_a_descriptor_left_open_each_second_is_found() -> None:
    """One descriptor a second, of more than three hundred attempts, fails the short form too."""
    assert growing(run_of(SHORT, descriptors=lambda at: 30 + at), SHORT) == ["descriptors"]


def test_a_thread_left_by_each_cut_is_found() -> None:
    """One thread that each lost connection to the broker leaves behind fails the long form."""
    samples = run_of(LONG, threads=lambda at: 8 + at // LONG.cut_every)
    assert growing(samples, LONG) == ["threads"]


def test_a_single_sample_above_the_most_is_found() -> None:
    """What must never be exceeded is not a matter of slopes."""
    samples = run_of(SHORT, log_bytes=lambda at: 25 * MIB if at == 100 else 4 * MIB)
    assert growing(samples, SHORT) == ["log_bytes"]


def test_the_slope_is_that_of_the_line() -> None:
    """A quarter of the points may be anything."""
    values = [3.0 * n for n in range(40)]
    values[5:15] = [1e9] * 10
    assert theil_sen(range(40), values) == pytest.approx(3.0, abs=0.5)


def test_the_first_third_is_warm_up() -> None:
    """What is judged begins a third into the run."""
    assert [one.at for one in settled([sample(at) for at in range(0, 91, 10)])] == [
        30, 40, 50, 60, 70, 80, 90,
    ]  # fmt: skip


def test_too_few_samples_are_no_verdict() -> None:
    """A run that was broken off is not flat; it says nothing."""
    with pytest.raises(ValueError, match="too few"):
        list(examine([sample(at) for at in range(5)], [Bound("rss_bytes", rise=MIB)]))


def test_a_record_is_read_as_it_was_noted(tmp_path: Path) -> None:
    """Samples and spans come back from the file, in their order."""
    noted: list[Entry] = [sample(1.0), Span("acme answers 503", 1.0, 5.5), sample(2.0)]
    record = Record(tmp_path / "endurance.jsonl")
    for entry in noted:
        record.note(entry)
    record.close()
    assert list(read(record.file)) == noted
    assert samples_in(record.file) == [noted[0], noted[2]]


@pytest.mark.parametrize(
    ("form", "findings", "is_kept"),
    [
        pytest.param(LONG, [], True, id="a whole run, all well"),
        pytest.param(LONG, ["it grows"], False, id="something was wrong"),
        pytest.param(SHORT, [], False, id="a part of a run"),
    ],
)
def test_pages_get_the_record_of_a_whole_run_in_which_all_was_well(
    form: Form, findings: Sequence[str], is_kept: bool, tmp_path: Path
) -> None:
    """Any other leaves the record of before in its place."""
    record, place = tmp_path / "new.jsonl", tmp_path / "pages.jsonl"
    record.write_text("new")
    place.write_text("old")
    keep(record, form, findings, place)
    assert place.read_text() == ("new" if is_kept else "old")


def test_the_record_of_the_pages_is_of_a_whole_run_and_flat() -> None:
    """docs/images/endurance.png is drawn from it."""
    samples = samples_in(OF_THE_PAGES)
    assert samples[-1].at >= 60 * (LONG.minutes - 1)
    assert [finding for finding in examine(samples, LONG.bounds) if not finding.is_flat] == []


def test_a_record_keeps_what_alerts_look_at(tmp_path: Path) -> None:
    """Every fifteen seconds, whether or not somebody looks more often; nothing else of /metrics."""
    text = "forwarder_mqtt_connected 1\nforwarder_dead_letters_replayed 7\n"
    record = Record(tmp_path / "endurance.jsonl")
    for at in (0.0, 5.0, 10.0, 15.0):
        record.keep_metrics(at, text)
    record.close()
    scrapes = read_recording(tmp_path / "endurance.json.gz").scrapes
    assert [[name.partition("{")[0] for name in scrape or ()] for scrape in scrapes] == [
        ["forwarder_mqtt_connected"]
    ] * 2
