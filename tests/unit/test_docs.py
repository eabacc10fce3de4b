"""The README and the pages say what the program does today: every command, setting, metric, event and reason."""

import ast
import csv
import importlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import click
import pytest
from rich.console import Console
from support.sources import nodes

import forwarder
from forwarder import delivery
from forwarder.cli.answer_view import ADVICE
from forwarder.cli.main import COMMANDS
from forwarder.cli.running import Readiness
from forwarder.cli.status_view import View, frame
from forwarder.console_log import SENTENCES
from forwarder.delivery import DeadReason
from forwarder.demo.device import SimulatedDevice
from forwarder.demo.shapes import from_template
from forwarder.endpoint_health import EndpointHealth
from forwarder.normalise import Normaliser, Template
from forwarder.operator import Status
from forwarder.operator.status import judge
from forwarder.outbox import EndpointTotals, MessageOutcome
from forwarder.reading import Message, QuarantineReason, Reading
from forwarder.routes import load_routes
from forwarder.settings import PREFIX, Settings
from forwarder.settings.environment import SECRETS_BY_FILE
from forwarder.statuses import REFUSALS
from forwarder.subscriber.problem import Kind

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs/operating.md").read_text()
DELIVERY = (ROOT / "docs/delivery.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

TEXTS = "\n".join(page.read_text() for page in PAGES)

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)

SETTING_ROW = re.compile(rf"^`{PREFIX}([A-Z_]+)` \| ([^|]+) \|", re.MULTILINE)
WORD_ROW = re.compile(r"^`([a-z_]+)` \|", re.MULTILINE)
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
LEVELS = {level: {level} for level in ("debug", "info", "warning", "error")}
LEVELS["_log_session"] = {"info", "debug"}


def usages() -> Iterator[tuple[str, click.Command]]:
    """Each command as it is typed, with its click object."""
    for name, module in COMMANDS.items():
        command: click.Command = importlib.import_module(f"forwarder.cli.{module}").command
        if isinstance(command, click.Group):
            for sub, leaf in command.commands.items():
                yield f"forwarder {name} {sub}", leaf
        else:
            yield f"forwarder {name}", command


@pytest.mark.parametrize("usage", [usage for usage, _ in usages()])
def test_command_has_its_row(usage: str) -> None:
    """Commands of one group may share a row, which names the first in full."""
    command, _, sub = usage.removeprefix("forwarder ").partition(" ")
    rows = re.findall(rf"^`forwarder ({command}[ `][^|\n]*)\|", OPERATING, re.MULTILINE)

    assert any(re.search(rf"[ `]{sub}[ `]" if sub else "", row) for row in rows)


@pytest.mark.parametrize("command", [pytest.param(leaf, id=usage) for usage, leaf in usages()])
def test_help_tells_each_option(command: click.Command) -> None:
    """The page leaves them to `--help`."""
    options = [one for one in command.params if isinstance(one, click.Option)]

    assert command.help
    assert [one.name for one in options if not one.help] == []


def test_page_names_no_command_that_is_none() -> None:
    """Whoever types a command from a page finds it."""
    typed = re.findall(r"(?:^\$ |`)forwarder ([a-z][a-z-]+)", TEXTS, re.MULTILINE)

    assert set(typed) <= set(COMMANDS)


def test_settings_table_is_complete() -> None:
    """Each setting stands in the table once, and nothing else does."""
    rows = [name.lower() for name, _ in SETTING_ROW.findall(OPERATING)]

    assert sorted(rows) == sorted(Settings.model_fields)


@pytest.mark.parametrize(("name", "cell"), SETTING_ROW.findall(OPERATING))
def test_default_is_the_program_s(
    name: str, cell: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A default in the table, written as an operator would set it, is what an unset setting amounts to."""
    monkeypatch.chdir(tmp_path)  # no .env of whoever runs the tests, nor a variable of theirs
    monkeypatch.delenv(PREFIX + name, raising=False)
    written = re.fullmatch(r"`([^`]+)`", cell)
    default = getattr(Settings(), name.lower())

    if written is None:
        assert default in (None, ())
    else:
        assert getattr(Settings.model_validate({name.lower(): written[1]}), name.lower()) == default


@pytest.mark.parametrize("name", SECRETS_BY_FILE)
def test_setting_by_file_is_named(name: str) -> None:
    assert f"`{PREFIX}{name.upper()}_FILE`" in OPERATING


@pytest.mark.parametrize("outcome", get_args(MessageOutcome))
def test_outcome_of_a_message_is_explained(outcome: str) -> None:
    assert f"\n`{outcome}` | " in OPERATING


@pytest.mark.parametrize("reason", get_args(DeadReason))
def test_reason_of_a_dead_letter_is_explained(reason: str) -> None:
    assert f"\n`{reason}` | " in OPERATING


@pytest.mark.parametrize("reason", get_args(QuarantineReason))
def test_reason_of_a_quarantine_is_explained(reason: str) -> None:
    assert f"\n`{reason}` | " in OPERATING


def error_words() -> set[str]:
    """Those of the promise beside `ErrorWord`, and those that `send-test` has advice for."""
    source = Path(delivery.__file__).read_text()
    promised = re.findall(r"`([a-z_]+)`", source.split("ErrorWord: TypeAlias")[1].split('"""')[1])
    return {word for word in (*promised, *ADVICE) if not word.startswith("http_")}


@pytest.mark.parametrize("word", sorted(error_words()))
def test_error_word_is_explained(word: str) -> None:
    table = DELIVERY.split("\nerror | means\n")[1].split("\n\n")[0]

    assert word in WORD_ROW.findall(table)


def test_refusals_are_listed() -> None:
    """The statuses that make a dead letter at once are those of the page."""
    row = re.search(r"^(400[\d, ]+) \| dead letter at once", DELIVERY, re.MULTILINE)

    assert row is not None
    assert {int(status) for status in row[1].split(", ")} == REFUSALS


def log_events() -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / "docs/log-events.csv").read_text().splitlines()))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_reason_of_a_failed_session_is_named(kind: str) -> None:
    (row,) = (row for row in log_events() if row["event"] == "mqtt.failed")

    assert kind in re.findall(r"\w+", row["says"].split("reason: ")[1])


@cache
def logged_events() -> dict[str, set[str]]:
    """The events of every log call of the service with their levels, read from its source."""
    package = Path(forwarder.__file__).parent
    paths = (path for path in package.rglob("*.py") if not path.is_relative_to(package / "demo"))
    events: dict[str, set[str]] = {}
    for path in paths:
        for node in nodes(path):
            for event, levels in _logged(node):
                events.setdefault(event, set()).update(levels)
    return events


def _logged(node: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """What a node logs, if it is a call like `self._log.info("noun.verbed", ...)`, and at which levels."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return
    called = {getattr(part, "attr", getattr(part, "id", "")) for part in ast.walk(node.func)}
    levels = set().union(*(LEVELS[name] for name in called & {*LEVELS}))
    if levels and EVENT.fullmatch(first := str(node.args[0].value)):
        yield first, levels


def test_list_of_events_is_complete_and_knows_their_levels() -> None:
    """Neither does it miss an event, nor does it know one that is not logged."""
    rows = log_events()

    assert {row["event"]: set(row["level"].split(" or ")) for row in rows} == logged_events()
    assert len(rows) == len(logged_events())
    assert all(row["says"] for row in rows)


def test_every_event_has_its_sentence_for_people() -> None:
    """The console says each in words, and has none that is never logged."""
    assert {*SENTENCES} == {*logged_events()}


def status_as_on_the_page() -> View:
    """A morning on which one endpoint is well, one refuses, one fails, and one was just written."""
    now = 1_763_460_000.0
    well = EndpointHealth(last_success_at=now - 2)
    refusing = EndpointHealth(
        last_success_at=now - 600, last_error="http_400", last_error_at=now - 3
    )
    failing = EndpointHealth(
        9, now + 40, failing_since=now - 1500, last_error="timeout", last_error_at=now - 20
    )
    totals = partial(EndpointTotals, enqueued=7140, expired=0, superseded=0, removed_at=None)
    endpoints = {
        "acme": totals("acme", delivered=7140, dead=0, oldest_pending_at=None, health=well),
        "billing": totals(
            "billing", delivered=7133, dead=7, oldest_pending_at=None, health=refusing
        ),
        "home": totals(
            "home", delivered=7090, dead=0, oldest_pending_at=now - 1500, health=failing
        ),
    }
    return View(
        overview=Status(
            identity="5f0c9a3e1b7d2468",
            messages={"accepted": 7140, "quarantined": 1, "unrouted": 0, "duplicate": 0},
            quarantine=1,
            endpoints={
                name: judge(one, is_paused=False, is_known=True, dead=one.dead, now=now)
                for name, one in endpoints.items()
            },
        ),
        readiness=Readiness(answered=True, is_ready=True),
        mqtt={"subscribed": True, "since": "2025-11-18T07:00:00Z"},
        routes={"endpoints": 3, "problems": 1, "first": "routes.yaml:14:13"},
        not_in_force=["globex"],
        outbox_place=Path("data/outbox.db"),
        now=now,
    )


def test_status_on_the_page_is_what_the_program_prints() -> None:
    """In a terminal of 80 columns."""
    (shown,) = re.findall(r"\$ forwarder status\n(.*?)```", OPERATING, re.DOTALL)
    view = status_as_on_the_page()
    screen = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    screen.print(frame(view, screen))
    assert isinstance(screen.file, io.StringIO)
    assert [line.rstrip() for line in screen.file.getvalue().splitlines()] == shown.splitlines()


def links() -> Iterator[tuple[Path, str]]:
    """Each page, and what it links to within the project."""
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in dict.fromkeys(re.findall(r"\]\(([^)\s]+)\)", prose)):
            if "://" not in target:
                yield page, target


def test_every_link_leads_somewhere() -> None:
    """The file is there, and so is the heading."""
    found = list(links())

    assert len(found) > 100
    assert [
        (page.name, target) for page, target in found if not leads_somewhere(page, target)
    ] == []


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, heading = target.partition("#")
    file = page.parent / name if name else page
    return file.exists() and (not heading or heading in anchors(file))


@cache
def anchors(page: Path) -> set[str]:
    """The headings as a forge makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.csv")), ids=lambda one: one.name)
def test_page_leads_to_the_list(path: Path) -> None:
    assert f"]({path.name})" in TEXTS


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT / "docs"])
def test_readme_leads_to_the_page(page: Path) -> None:
    assert f"](docs/{page.name})" in README


def test_template_of_the_page_is_read_with_and_without_its_file() -> None:
    """What is registered at whatwatt as the page has it lacks nothing, and every variable becomes a value."""
    (text,) = (ROOT / "docs/payload-template.txt").read_text().splitlines()
    template = Template.parse(text)
    device = SimulatedDevice(0, from_template(text))
    message = Message(f"ext/acmeenergy/{device.device}", device.report_at(NOON), NOON)
    readings = [
        Normaliser(
            timezone=ZoneInfo("Europe/Zurich"), max_message_bytes=65536, template=way
        ).normalise(message)
        for way in (template, None)
    ]

    assert len(text) < 1024  # whatwatt's limit
    assert (list(template.remarks), list(template.lacks())) == ([], [])
    assert readings[0] == readings[1]
    assert isinstance(readings[0], Reading)
    assert (readings[0].time_source, readings[0].extra) == ("timestamp", {})


def test_troubleshooting_stays_short() -> None:
    """Whoever reads it is in a hurry."""
    assert len((ROOT / "docs/troubleshooting.md").read_text().split()) <= 800


def test_routes_of_the_readme_load(tmp_path: Path) -> None:
    """What is copied from the README routes every device to one endpoint."""
    (routes,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "routes.yaml").write_text(routes)
    secret = "whsec_" + "A" * 32

    loaded = load_routes(tmp_path / "routes.yaml", environ={"ACME_SECRET": secret})

    assert list(loaded.endpoints) == ["acme"]


def test_settings_of_the_readme_are_settings() -> None:
    named = re.findall(rf"{PREFIX}([A-Z_]+)", README)

    assert {name.lower() for name in named} <= set(Settings.model_fields)
