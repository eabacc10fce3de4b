import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console
from support.clock import HandClock
from support.terminal import HOSTILE, acts

from forwarder.demo.ledger import Account, Ledger
from forwarder.demo.listener import Received
from forwarder.demo.progress import Progress
from forwarder.demo.scene import Scene, set_scene
from forwarder.demo.story import Verdict
from forwarder.demo.view import LiveView, PlainView, frame, show_verdict, view_for


@pytest.fixture
def scene() -> Scene:
    return set_scene(3)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def progress(clock: HandClock) -> Progress:
    progress = Progress(clock, seconds=20)
    progress.start()
    progress.begin("flow")
    return progress


def screen(*, is_terminal: bool, height: int = 34, width: int = 80) -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    console = Console(
        file=output,
        force_terminal=is_terminal,
        width=width,
        height=height,
        highlight=False,
        _environ={},
    )
    return console, output


def test_without_a_terminal_lines_are_plain(
    scene: Scene, clock: HandClock, progress: Progress
) -> None:
    """A log file or CI gets each step once and counters every 2 s, without control codes."""
    console, output = screen(is_terminal=False)
    with view_for(console) as view:
        view.refresh(scene, Ledger(), progress)
        clock.advance(2)
        progress.pending = {"acme": 3}
        view.refresh(scene, Ledger(), progress)
        view.refresh(scene, Ledger(), progress)
    assert output.getvalue().splitlines() == [
        "  0.0 s  readings flow to the endpoints that routes.yaml names",
        "  2.0 s  published 0  home 0  acme 0 (3 waiting)  archive 0",
    ]


def test_dumb_terminal_gets_plain_lines() -> None:
    """A terminal that cannot move its cursor is served like a file."""
    console = Console(force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_for(console), PlainView)


@pytest.mark.parametrize("height", [24, 34])
def test_live_view_fits_the_terminal(scene: Scene, progress: Progress, height: int) -> None:
    """On 80 columns every step stays visible, however few lines there are."""
    console, output = screen(is_terminal=True, height=height)
    view = view_for(console)
    assert isinstance(view, LiveView)
    for step in ("outage", "recovery", "refusal", "replay", "drain"):
        progress.begin(step)
    progress.remark("$ forwarder dead-letters replay msg_5f0c8f4c: arrived, id unchanged")
    with view:
        view.refresh(scene, Ledger(), progress)
    assert "what still waits is delivered" in output.getvalue()
    assert "id unchanged" in output.getvalue()


STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
AT = datetime(2025, 11, 18, 10, tzinfo=UTC)


def arrived(device: str) -> Received:
    """A reading of this device as a receiver took it."""
    values = {"active_power_import_kw": 1.5, "active_energy_import_kwh": 9693.6}
    reading = {"device": device, "measured_at": "2025-11-18T10:00:00Z", "measurements": values}
    return Received(1, AT, device, 1, "verified", (reading,), b"", "/", {}, status=204)


@pytest.fixture
def busy() -> Scene:
    """Every receiver has had a reading of each of its devices."""
    scene = set_scene(6)
    for recipient in scene.recipients:
        recipient.listener.received += [arrived(device) for device in recipient.devices]
        recipient.listener.accepted |= {one.webhook_id: one for one in recipient.listener.received}
    return scene


def drawn(scene: Scene, progress: Progress, *, width: int, height: int) -> list[str]:
    console, output = screen(is_terminal=True, width=width, height=height)
    console.print(frame(scene, Ledger(), progress, size=console.size))
    return STYLES.sub("", output.getvalue()).splitlines()


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_names_and_ids_are_whole_at_any_width(busy: Scene, progress: Progress, width: int) -> None:
    """Less important columns go first; nothing is cut, nothing breaks within a word."""
    lines = drawn(busy, progress, width=width, height=40)

    text = "\n".join(lines)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert all(name in text for name in ("home", "acme", "archive", "delivered", "204, verified"))
    assert sum(device.device in text for device in busy.fleet) >= 5
    assert "…" not in text


@pytest.mark.parametrize("height", [12, 16, 20])
def test_short_terminals_have_the_step_that_goes_on(
    busy: Scene, progress: Progress, height: int
) -> None:
    """The readings go first, then the steps that are over or to come; nothing is cut off without a word."""
    progress.begin("outage")

    lines = drawn(busy, progress, width=80, height=height)

    assert "acme answers 503" in "\n".join(lines)
    assert len(lines) <= height


def test_dead_letters_stand_where_nothing_waits(busy: Scene, progress: Progress) -> None:
    """Else one that is owed, not delivered and not waiting would look lost."""
    progress.pending, progress.dead = {"acme": 3, "archive": 0}, {"acme": 1, "archive": 1}

    lines = drawn(busy, progress, width=80, height=40)

    rows = {line.split()[0]: line.split() for line in lines if line.split()}
    assert rows["archive"][5:7] == ["1", "dead"]
    assert rows["acme"][6] == "3"


def verdict(*problems: str) -> Verdict:
    accounts = (Account("acme", 9, 9, 9, 4, 0, problems),)
    return Verdict(published=9, accounts=accounts, replayed="msg_1", problems=problems)


def test_good_end_is_one_sentence() -> None:
    console, output = screen(is_terminal=False)
    show_verdict(console, verdict())
    assert "All 9 published readings arrived" in output.getvalue()


def test_bad_end_names_what_is_missing() -> None:
    """Whoever reads the summary learns what went wrong, not only that it did."""
    console, output = screen(is_terminal=False)
    show_verdict(console, verdict("out of order: ECC9FF5C001A"))
    assert "out of order: ECC9FF5C001A" in output.getvalue()
    assert "NO" in output.getvalue()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_verdict_and_a_story_are_told_in_letters(
    text: str, scene: Scene, clock: HandClock
) -> None:
    """Whoever reaches the receivers' ports can put words into both."""
    progress = Progress(clock, seconds=20)
    progress.begin("flow")
    progress.remark(f"$ forwarder dead-letters list: {text}")
    problem = f"acme: 1 not owed to it: {text}"
    console = Console(file=io.StringIO(), width=120)
    with PlainView(console) as view:
        view.refresh(scene, Ledger(), progress)
    show_verdict(console, Verdict(1, accounts=(), replayed=None, problems=(problem,)))
    assert isinstance(console.file, io.StringIO)
    assert acts(console.file.getvalue()) == set()
