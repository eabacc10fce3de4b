"""What is no file in the place of each configured file: refused at once, at start, in `check` and at a reload."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from support.attack import Extent, Tried
from support.installation import FILES, OF_ROUTES, OF_SETTINGS, Installation, install
from support.line import Line
from support.service import Service
from support.shell import Operator

from forwarder.errors import ForwarderError

Make = Callable[[Path], object]


def a_large_file(path: Path) -> None:
    with path.open("wb") as sparse:
        sparse.truncate(1 << 30)


NO_FILES: Mapping[str, Make] = {
    "a FIFO": os.mkfifo,
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "/proc/kmsg": lambda path: path.symlink_to("/proc/kmsg"),
    "a folder": Path.mkdir,
    "1 GiB": a_large_file,
    "links in a circle": lambda path: path.symlink_to(path.name),
}
MAY_BE_EMPTY = {"fleet.txt", ".env"}
"""Of /proc/kmsg nothing is read, and these may hold nothing."""


class Replaced:
    """Something else in the place of a file, while the block runs."""

    def __init__(self, path: Path, make: Make) -> None:
        self._path, self._make = path, make
        self._aside = path.with_name(path.name + ".aside")

    def __enter__(self) -> None:
        self._path.rename(self._aside)
        self._make(self._path)

    def __exit__(self, *_: object) -> None:
        if self._path.is_dir() and not self._path.is_symlink():
            self._path.rmdir()
        self._aside.rename(self._path)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.chdir(tmp_path)
    return install(tmp_path)


def test_check_refuses_each_of_them(installation: Installation, tried: list[Tried]) -> None:
    """One sentence that names the file and exit code 2; nothing is waited for, and no traceback is left."""
    operator = Operator(installation.folder, dict(installation.settings))
    operator.says("check")
    for (name, make), file in product(NO_FILES.items(), FILES):
        with Replaced(installation.folder / file, make):
            result = operator.run("check")
        if name == "/proc/kmsg" and file in MAY_BE_EMPTY:
            assert result.exit_code == 0, (name, file)
            continue
        assert isinstance(result.exception, ForwarderError), (name, file, result.exception)
        assert result.exception.exit_code == 2
        assert file in str(result.exception), (name, file)
    operator.says("check")
    outcome = "exit code 2 and a sentence, at once"
    tried.append(
        Tried("files", "no file in each place, `check`", len(NO_FILES) * len(FILES), outcome)
    )


def _starts(extent: Extent) -> Iterator[tuple[str, str]]:
    """What is tried with a process of its own: `check` has looked at all of it already."""
    short = {("a FIFO", file) for file in (".env", "routes.yaml", "acme-secret", "mqtt-password")}
    for name, file in product(NO_FILES, FILES):
        is_refused = not (name == "/proc/kmsg" and file in MAY_BE_EMPTY)
        if is_refused and (extent == "full" or (name, file) in short):
            yield name, file


@pytest.mark.timeout(600)
async def test_a_start_refuses_each_of_them(
    installation: Installation, extent: Extent, tried: list[Tried]
) -> None:
    """Exit code 2 and sentences alone on stderr, before anything is touched."""
    service = Service(installation.folder, installation.settings)
    starts = list(_starts(extent))
    for name, file in starts:
        with Replaced(installation.folder / file, NO_FILES[name]):
            finished = await service.command("run")
        assert finished.exit_code == 2, (name, file, finished)
        assert finished.stdout == ""
        assert file in finished.stderr
        assert all(line.startswith("forwarder: ") for line in finished.stderr.splitlines())
    assert not (installation.folder / "data").exists()
    tried.append(
        Tried("files", "no file in each place, start", len(starts), "exit code 2, at once")
    )


def _reloads(extent: Extent) -> Iterator[tuple[str, str]]:
    for name, file in product(NO_FILES, OF_ROUTES):
        if extent == "full" or name == "a FIFO" or file == "routes.yaml":
            yield name, file


async def test_a_reload_refuses_each_of_them(
    line: Line, extent: Extent, tried: list[Tried]
) -> None:
    """The last good routes stay, readings go on, the good file is taken up again, and SIGTERM ends the process."""
    install(line.folder)
    (line.folder / ".env").unlink()
    acme = await line.receiver("acme")
    routes = line.folder.joinpath("routes.yaml").read_text()
    await line.start()
    line.routes_file.write_text(routes + _as_yaml(line))
    line.service.send(signal.SIGHUP)
    await line.service.logged("routes.reloaded")
    reloads = list(_reloads(extent))
    for name, file in reloads:
        with Replaced(line.folder / file, NO_FILES[name]):
            assert await _told(line) in ("routes.rejected", "routes.reloaded"), (name, file)
            await line.publish(1)
        assert await _told(line) in ("routes.unchanged", "routes.reloaded"), (name, file)
    await acme.until_count(len(reloads))
    assert await line.service.stop() == 0
    outcome = "the last good routes stay, every reading arrived, SIGTERM ended it"
    tried.append(Tried("files", "no file in each place, reload", len(reloads), outcome))


async def _told(line: Line) -> str:
    """What comes of a look at once."""
    count = len(line.service.events)
    line.service.send(signal.SIGHUP)
    told = ("routes.rejected", "routes.reloaded", "routes.unchanged")
    return str((await line.service.logged(*told, after=count))["event"])


def _as_yaml(line: Line) -> str:
    """The endpoint of the receiver that runs, to follow others."""
    endpoint = line.routes_text().partition("endpoints:\n")[2]
    return endpoint.replace("  acme:", "  receiver:")


async def test_a_fifo_for_a_while_delays_nothing(line: Line) -> None:
    """routes.yaml becomes a FIFO and then a good file again, as when a log rotation goes wrong (logrotate#607)."""
    acme = await line.receiver("acme")
    await line.start()
    with Replaced(line.routes_file, os.mkfifo):
        await line.service.logged("routes.rejected")
        await line.publish(3)
        await acme.until_count(3)
    home = await line.receiver("home")
    line.write_routes()
    await line.service.logged("routes.reloaded")
    await line.publish(3)
    await home.until_count(3)
    assert await line.service.stop() == 0


def test_every_place_is_tried() -> None:
    """A setting that names a file has a place here."""
    assert len(FILES) == len(set(FILES)) == len(OF_ROUTES) + len(OF_SETTINGS)
