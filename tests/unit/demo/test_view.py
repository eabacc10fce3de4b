import io

import pytest
from rich.console import Console
from support.clock import HandClock
from support.terminal import HOSTILE, acts

from forwarder.demo.ledger import Account, Ledger
from forwarder.demo.progress import Progress
from forwarder.demo.scene import Scene, set_scene
from forwarder.demo.story import Verdict
from forwarder.demo.view import LiveView, PlainView, show_verdict, view_for


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


def screen(*, is_terminal: bool, height: int = 34) -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    console = Console(
        file=output,
        force_terminal=is_terminal,
        width=80,
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
