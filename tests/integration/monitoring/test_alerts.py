"""Each alert fires for its fault, and none when all is well; every query of the dashboard has something to show."""

from pathlib import Path

import pytest

from monitoring.documents import queries, rules
from monitoring.promtool import promtool, try_rules
from monitoring.recording import read_recording
from monitoring.table import read_table

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests/fixtures/metrics"
TABLE = read_table()
RULES = ROOT / "deploy/prometheus/alerts.yml"

FIRED = 'group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[3h]))'
NONE_FIRED = 'count(max_over_time(ALERTS{alertstate="firing"}[3h])) or vector(0)'
STRETCHED = 360.0
"""Half a second of a recorded fault is played as three minutes, because an alert waits for up to an hour."""
SCRAPES_A_MINUTE = 30.0
"""The same played with a scrape in fifteen seconds."""
EXPECTED = {
    "gone": {"ForwarderGone"},
    "not_subscribed": {"ForwarderNotSubscribed"},
    "hears_nothing": {"ForwarderHearsNothing"},
    "endpoint_failing": {"ForwarderEndpointFailing"},
    "readings_get_old": {"ForwarderReadingsGetOld"},
    "dead_letters": {"ForwarderDeadLetters"},
    "quarantine_grows": {"ForwarderQuarantineGrows"},
    "quarantine_lets_go": {"ForwarderQuarantineGrows", "ForwarderQuarantineLetsGo"},
    "routes_rejected": {"ForwarderRoutesRejected"},
    "log_lines_lost": {"ForwarderLogLinesLost"},
    # Its receivers never answer, which is why descriptors run out.
    "descriptors_exhausted": {"ForwarderDescriptorsExhausted", "ForwarderEndpointFailing"},
}


def fixture(name: str) -> Path:
    return FIXTURES / f"{name}.json.gz"


def test_every_alert_has_its_fault_and_every_recording_its_test() -> None:
    assert {alert.name for alert in TABLE.alerts} == set().union(*EXPECTED.values())
    recorded = {path.name.removesuffix(".json.gz") for path in FIXTURES.glob("*.json.gz")}
    assert recorded == {*EXPECTED, "nothing", "everything", "endurance"}


@pytest.mark.parametrize("fault", EXPECTED)
def test_alert_fires_for_its_fault_and_no_other_does(fault: str, tmp_path: Path) -> None:
    samples = {f'{{alertname="{name}"}}': 1.0 for name in EXPECTED[fault]}
    tried = try_rules(
        RULES.read_text(),
        read_recording(fixture(fault)),
        {FIRED: samples},
        folder=tmp_path,
        stretched=STRETCHED,
    )
    assert tried.is_fine, tried.said


@pytest.mark.parametrize(("quiet", "stretched"), [("nothing", STRETCHED), ("endurance", 1.0)])
def test_no_alert_fires_while_all_is_dealt_with(
    quiet: str, stretched: float, tmp_path: Path
) -> None:
    """Neither where nothing is wrong, nor in a long run of short faults, edits and commands."""
    recording = read_recording(fixture(quiet))
    tried = try_rules(
        RULES.read_text(),
        recording,
        {NONE_FIRED: {"{}": 0.0}},
        folder=tmp_path,
        stretched=stretched,
    )
    assert tried.is_fine, tried.said
    if quiet == "endurance":
        assert len(recording.scrapes) * recording.every_seconds >= 30 * 60


def test_a_rule_that_is_wrong_is_found(tmp_path: Path) -> None:
    """The tests above see what they look at."""
    never = (
        rules(TABLE).replace("== 0", "== 7").replace("forwarder_endpoint_open == 1", "vector(1)")
    )
    for fault in ("gone", "nothing"):
        expected = (
            {FIRED: {'{alertname="ForwarderGone"}': 1.0}}
            if fault == "gone"
            else {NONE_FIRED: {"{}": 0.0}}
        )
        recording = read_recording(fixture(fault))
        tried = try_rules(never, recording, expected, folder=tmp_path, stretched=STRETCHED)
        assert not tried.is_fine


def test_every_query_of_the_dashboard_has_something_to_show(tmp_path: Path) -> None:
    """While everything happens that there is a metric for."""
    expected = {f"count({query}) > bool 0": {"{}": 1.0} for query in queries(TABLE)}
    tried = try_rules(
        RULES.read_text(),
        read_recording(fixture("everything")),
        expected,
        folder=tmp_path,
        stretched=SCRAPES_A_MINUTE,
    )
    assert tried.is_fine, tried.said


def test_rules_are_sound() -> None:
    tried = promtool("check", "rules", str(RULES))
    assert tried.is_fine, tried.said
