"""Edits of a running service's routes: noticed however they are made, applied whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clock import HandClock
from support.descriptors import no_descriptor_left
from support.routing import ENVIRON, endpoint_with, secret

from forwarder.errors import RoutesError
from forwarder.reading import Device
from forwarder.routes import (
    LOOK_EVERY_SECONDS,
    Applied,
    EndpointName,
    Rejected,
    Reload,
    RoutesFile,
    Unchanged,
)

ACME = EndpointName("acme")
OLD = endpoint_with("devices: [ECC9FF5C7AD4]")
NEW = endpoint_with("devices: [001122334455]")
BROKEN = "endpoints: [\n"
GAIN = "~ acme gains 1 device: 001122334455"
LOSS = "~ acme loses 1 device: ECC9FF5C7AD4"


class Running:
    """A service's view of its routes, with the time in the test's hand."""

    def __init__(self, folder: Path, text: str = OLD) -> None:
        self.path = folder / "routes.yaml"
        self.path.write_text(text)
        self.clock = HandClock()
        self.file = RoutesFile(self.path, environ=ENVIRON, clock=self.clock)
        self.file.load()

    def told_within(self, seconds: float) -> list[Reload]:
        """What is told in so many seconds of looking at the usual pace."""
        told = []
        for _ in range(round(seconds / LOOK_EVERY_SECONDS)):
            self.clock.advance(LOOK_EVERY_SECONDS)
            told.append(self.file.check())
        return [reload for reload in told if reload is not None]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)


def remove_and_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def write_with_the_old_times(path: Path, text: str) -> None:
    """As `cp -p` and some deployments do: content changes, size and mtime stay."""
    stat = path.stat()
    path.write_text(text)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    "edit", [write_in_place, rename_over, remove_and_write, write_with_the_old_times]
)
def test_edit_is_applied_within_two_seconds(
    edit: Callable[[Path, str], None], running: Running
) -> None:
    """However an editor writes, the new routes are told once, with what they change."""
    edit(running.path, NEW)

    (applied,) = running.told_within(2)

    assert isinstance(applied, Applied)
    assert applied.diff.lines() == [GAIN, LOSS]
    assert applied.routes.match(Device("001122334455")) == (ACME,)
    assert running.told_within(5) == []


def test_swapped_symbolic_link_is_noticed(tmp_path: Path) -> None:
    """A ConfigMap changes by a swap of `..data`, which every file of the volume leads through."""
    for version, text in (("v1", OLD), ("v2", NEW)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "routes.yaml").write_text(text)
    data, routes = tmp_path / "..data", tmp_path / "routes.yaml"
    data.symlink_to("v1")
    routes.symlink_to("..data/routes.yaml")
    running = Running.__new__(Running)
    running.clock = HandClock()
    running.file = RoutesFile(routes, environ=ENVIRON, clock=running.clock)
    running.file.load()

    (tmp_path / "..tmp").symlink_to("v2")
    (tmp_path / "..tmp").rename(data)

    (applied,) = running.told_within(2)
    assert isinstance(applied, Applied)
    assert applied.diff.lines() == [GAIN, LOSS]


NAMED_FILES = [
    pytest.param(
        "fleet.txt",
        "groups: {fleet: {file: fleet.txt}}\n" + endpoint_with("groups: [fleet]", "devices: []"),
        ("ECC9FF5C7AD4\n", "ECC9FF5C7AD4\n001122334455\n"),
        [GAIN],
        id="a group file",
    ),
    pytest.param(
        "key",
        endpoint_with("secret: file:key"),
        (secret(), secret(40)),
        ["~ acme: secret changed"],
        id="a secret file",
    ),
    pytest.param(
        "token",
        endpoint_with("auth: {bearer: file:token}"),
        ("one", "two"),
        ["~ acme: auth changed"],
        id="a token file",
    ),
]


@pytest.mark.parametrize(("name", "text", "contents", "lines"), NAMED_FILES)
def test_file_that_the_routes_name_is_watched_too(
    name: str, text: str, contents: tuple[str, str], lines: list[str], tmp_path: Path
) -> None:
    """A change of a group, secret or token file is an edit of the routes."""
    (tmp_path / name).write_text(contents[0])
    running = Running(tmp_path, text)

    (tmp_path / name).write_text(contents[1])

    (applied,) = running.told_within(2)
    assert isinstance(applied, Applied)
    assert applied.diff.lines() == lines


def test_broken_edit_is_told_once_with_its_problems(running: Running) -> None:
    """The last good routes stay; the rejection is told within 2 s, and not again."""
    running.path.write_text(BROKEN)

    told = running.told_within(2)

    (rejected,) = told
    assert isinstance(rejected, Rejected)
    assert rejected.rejection.sentences[0].startswith(f"{running.path}:2:1: ")
    assert running.told_within(10) == []


def test_file_that_is_broken_for_a_moment_is_not_called_wrong(running: Running) -> None:
    """Half of a file is on disk, a moment later the whole: only the whole is told."""
    running.path.write_text(BROKEN)
    assert running.told_within(1) == []

    running.path.write_text(NEW)

    (applied,) = running.told_within(2)
    assert isinstance(applied, Applied)


def test_half_written_file_that_would_parse_is_not_applied(running: Running) -> None:
    """A writer that pauses between two blocks is waited for: half of the endpoints are never the routes."""
    two = NEW + "  beta: {url: 'https://b.example/', secret: env:KEY, devices: []}\n"
    running.path.write_text(NEW)
    assert running.told_within(LOOK_EVERY_SECONDS) == []

    running.path.write_text(two)

    (applied,) = running.told_within(2)
    assert isinstance(applied, Applied)
    assert list(applied.routes.endpoints) == ["acme", "beta"]


def test_file_that_never_keeps_still_is_read_all_the_same(running: Running) -> None:
    """Edits in quick succession do not put off the first of them for more than 2 s."""
    told = []
    for number in range(10):
        running.path.write_text(endpoint_with(f"timeout: {number + 20}s"))
        told += running.told_within(LOOK_EVERY_SECONDS)

    assert [type(reload) for reload in told] == [Applied, Applied, Applied]


def test_edit_that_changes_nothing_is_told_as_unchanged(running: Running) -> None:
    """A comment is an edit; the routes are the same."""
    running.path.write_text("# ours\n" + OLD)

    assert running.told_within(2) == [Unchanged()]


def test_return_to_the_good_file_ends_a_rejection(running: Running) -> None:
    """After a mistake is undone, the service learns that all is well again."""
    running.path.write_text(BROKEN)
    running.told_within(2)

    running.path.write_text(OLD)

    assert running.told_within(2) == [Unchanged()]


def test_touched_file_is_not_reloaded(running: Running) -> None:
    """Only content counts."""
    os.utime(running.path, ns=(0, 0))

    assert running.told_within(2) == []


def test_second_write_within_the_grain_of_time_stamps_is_noticed(tmp_path: Path) -> None:
    """A young file is compared by content: coarse time stamps hide a second write of the same size."""
    running = Running(tmp_path)
    stat = running.path.stat()
    running.clock.step(stat.st_mtime - running.clock.unix())
    [(wanted, seen)] = running.file._seen.items()

    running.path.write_text(NEW)
    os.utime(running.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    now = running.path.stat()
    same = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    running.file._seen[wanted] = type(seen)(same, seen.digest)

    (applied,) = running.told_within(2)
    assert isinstance(applied, Applied)


def test_missing_file_that_comes_back_is_noticed(tmp_path: Path) -> None:
    """The files of a failed load are watched as well, also those that were missing."""
    running = Running(tmp_path)
    running.path.write_text(
        "groups: {g: {file: fleet.txt}}\n" + OLD.replace("devices:", "groups: [g]\n    devices:")
    )
    (rejected,) = running.told_within(2)

    (tmp_path / "fleet.txt").write_text("001122334455\n")

    (applied,) = running.told_within(2)
    assert isinstance(rejected, Rejected)
    assert isinstance(applied, Applied)
    assert applied.diff.lines() == [GAIN]


def test_forced_check_tells_at_once(running: Running) -> None:
    """SIGHUP waits for nothing: good, broken and unchanged files are told immediately."""
    unchanged = running.file.check(force=True)
    running.path.write_text(NEW)
    applied = running.file.check(force=True)
    running.path.write_text(BROKEN)
    rejected = running.file.check(force=True)

    assert [type(reload) for reload in (unchanged, applied, rejected)] == [
        Unchanged,
        Applied,
        Rejected,
    ]


def test_first_load_raises_what_is_wrong(tmp_path: Path) -> None:
    """At start an invalid file ends the program; there are no good routes to keep."""
    (tmp_path / "routes.yaml").write_text(BROKEN)

    with pytest.raises(RoutesError):
        RoutesFile(tmp_path / "routes.yaml", environ=ENVIRON, clock=HandClock()).load()


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_no_descriptor_is_left_for_is_looked_at_later(
    running: Running, force: bool
) -> None:
    """That we cannot read it says nothing about the file: nothing is rejected, and the edit is applied afterwards."""
    write_in_place(running.path, NEW)
    with no_descriptor_left():
        assert running.told_within(5) == []
        assert running.file.check(force=force) is None
    (told,) = running.told_within(5)
    assert isinstance(told, Applied)


def test_an_edit_between_the_look_and_the_load_is_not_lost(running: Running) -> None:
    """Descriptors that end after the edit was noticed leave the last good routes, and the edit to be noticed again."""
    write_in_place(running.path, NEW)
    running.clock.advance(LOOK_EVERY_SECONDS)
    assert running.file.check() is None
    with no_descriptor_left():
        assert running.told_within(2) == []
    assert [type(told) for told in running.told_within(5)] == [Applied]


PARTNER = "  globex: {url: 'https://b.example/', secret: env:GLOBEX_KEY, devices: [ECC9FF5C7AD4]}\n"


@pytest.fixture
def beside_env_file(tmp_path: Path) -> Running:
    """A service whose `.env` gives the key of its endpoint."""
    running = Running(tmp_path)
    (tmp_path / ".env").write_text(f"KEY={secret()}\n")
    running.file = RoutesFile(
        running.path, environ={}, env_file=tmp_path / ".env", clock=running.clock
    )
    running.file.load()
    return running


@pytest.mark.parametrize("env_file_comes_first", [True, False])
def test_new_partner_needs_no_restart(env_file_comes_first: bool, beside_env_file: Running) -> None:
    """A secret that `.env` gains is seen by the routes that name it, whichever is saved first."""
    running = beside_env_file
    env_file = f"KEY={secret()}\nGLOBEX_KEY='{secret(40)}'\n"
    edits = [(running.path.with_name(".env"), env_file), (running.path, OLD + PARTNER)]
    told = []
    for path, text in edits if env_file_comes_first else reversed(edits):
        path.write_text(text)
        told += running.told_within(3)

    assert isinstance(told[-1], Applied)
    assert EndpointName("globex") in told[-1].routes.endpoints
    (first,) = told[:-1]
    assert isinstance(first, Unchanged if env_file_comes_first else Rejected)


def test_key_that_env_file_changes_is_taken_over(beside_env_file: Running) -> None:
    running = beside_env_file
    running.path.with_name(".env").write_text(f"KEY={secret(40)}\n")

    (applied,) = running.told_within(2)

    assert isinstance(applied, Applied)
    assert [key.secret for key in applied.routes.endpoints[ACME].keys] == [bytes(range(40))]


def test_broken_env_file_changes_nothing(beside_env_file: Running) -> None:
    """The last good routes stay, and the line is told."""
    running = beside_env_file
    env_file = running.path.with_name(".env")
    good = env_file.read_text()
    env_file.write_text(f"KEY='{secret()}\n")

    (rejected,) = running.told_within(3)
    env_file.write_text(good)
    (unchanged,) = running.told_within(3)

    assert isinstance(rejected, Rejected)
    (problem,) = rejected.rejection.sentences
    assert problem.startswith(f"{env_file}:1: the value begins with '")
    assert isinstance(unchanged, Unchanged)


def test_process_s_own_variable_wins_over_the_env_file(tmp_path: Path) -> None:
    running = Running(tmp_path)
    (tmp_path / ".env").write_text(f"KEY={secret(40)}\n")
    file = RoutesFile(
        running.path, environ=ENVIRON, env_file=tmp_path / ".env", clock=running.clock
    )

    assert [key.secret for key in file.load().endpoints[ACME].keys] == [bytes(range(32))]
