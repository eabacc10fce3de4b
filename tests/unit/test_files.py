"""The one reader of configured files: what it takes, what it refuses, and what it says."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.descriptors import no_descriptor_left

from forwarder.files import (
    NoDescriptorLeft,
    Unreadable,
    as_secret,
    as_text,
    beside_the_loop,
    foreign_writers,
    open_own,
    printable,
    read_bytes,
    read_given,
    read_pem,
    read_secret,
)

LIMIT = 1024


def a_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


def a_large_file(path: Path) -> None:
    with path.open("wb") as sparse:
        sparse.truncate(1 << 30)


IN_THE_PLACE_OF_A_FILE: list[tuple[Callable[[Path], object], str]] = [
    (os.mkfifo, "is a FIFO; expected a regular file"),
    (Path.mkdir, "is a directory; expected a regular file"),
    (a_socket, "is a socket; expected a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device; expected a regular file"),
    (lambda path: path.symlink_to("/dev/tty"), "is a device; expected a regular file"),
    (a_large_file, "is larger than 1 KiB"),
]


@pytest.mark.parametrize(("make", "why"), IN_THE_PLACE_OF_A_FILE)
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    """Nothing is waited for, and nothing without an end is read."""
    path = tmp_path / "secret"
    make(path)

    with pytest.raises(Unreadable) as refused:
        read_bytes(path, limit=LIMIT)

    assert str(refused.value) == f"{path} {why}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "No such file or directory"),
        ("nul\0", "its name leads nowhere"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_path_that_leads_nowhere_has_its_sentence(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=why):
        read_bytes(tmp_path / name, limit=LIMIT)


@pytest.mark.parametrize("within", [False, True])
def test_links_that_go_round_have_their_sentence(within: bool, tmp_path: Path) -> None:
    """Confined or not, a circle of links is an error and no traceback."""
    path = tmp_path / "a"
    path.symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(Unreadable):
        read_bytes(path, limit=LIMIT, within=tmp_path if within else None)


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/kmsg"])
def test_what_the_kernel_makes_up_is_empty(path: str) -> None:
    """Of /proc nothing is read: it says that it is empty, it may wait, and the environment stands there."""
    assert read_bytes(Path(path), limit=LIMIT) == b""
    with pytest.raises(Unreadable, match=f"the file {path} is empty"):
        read_secret(Path(path))


@given(st.binary(max_size=40), st.integers(0, 40))
def test_a_file_is_read_whole_up_to_its_limit(content: bytes, limit: int) -> None:
    """Not a byte more, and not a byte of one that is longer."""
    with _temporary(content) as path:
        if len(content) <= limit:
            assert read_bytes(path, limit=limit) == content
        else:
            with pytest.raises(Unreadable, match="is larger than"):
                read_bytes(path, limit=limit)


@pytest.mark.parametrize(
    "written",
    [
        b"hunter2",
        b"hunter2\n",
        b"hunter2\r\n",
        b"\xef\xbb\xbfhunter2",
        b"\xef\xbb\xbf hunter2 \t\r\n\r\n",
        b"\n\nhunter2",
    ],
)
def test_what_editors_add_to_a_secret_does_not_count(written: bytes, tmp_path: Path) -> None:
    """Byte order mark, line ends and blanks around it: every reader of secrets drops them (lima-vm/lima#5280)."""
    path = tmp_path / "secret"
    path.write_bytes(written)

    assert read_secret(path) == "hunter2"


def test_text_that_is_no_text_tells_its_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"one\nhunter2 \xff")

    with pytest.raises(Unreadable) as refused:
        as_text(read_bytes(path, limit=LIMIT), path)

    assert str(refused.value) == f"{path} is not UTF-8 text (line 2)"
    assert refused.value.__cause__ is None


@given(st.binary(min_size=8, max_size=40))
def test_no_error_holds_what_is_in_a_file(content: bytes) -> None:
    """Whatever is wrong with a secret, none of it is in the sentence."""
    secret = b"hunter2" + content + b"\xff"

    with pytest.raises(Unreadable) as refused:
        as_secret(secret, Path("secret"))

    assert "hunter2" not in repr(refused.value) + str(refused.value.__dict__)


def test_a_pipe_that_was_named_by_hand_is_read(tmp_path: Path) -> None:
    """`forwarder routes diff <(git show HEAD:routes.yaml)` hands over a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"hunter2",))
    writer.start()

    assert read_given(pipe, limit=LIMIT) == b"hunter2"
    writer.join()


def test_a_pipe_that_was_named_by_hand_has_its_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"x" * (LIMIT + 1),))
    writer.start()

    with pytest.raises(Unreadable, match="is larger than 1 KiB"):
        read_given(pipe, limit=LIMIT)
    writer.join()


def test_certificates_may_stand_between_other_text(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes("# Zürich\nPEM".encode())

    assert read_pem(path) == "# Zrich\nPEM"


def mounted(folder: Path) -> Path:
    """A Secret as Kubernetes mounts it: a link into `..data`, which is a link to a dated folder."""
    dated = folder / "..2025_11_18"
    dated.mkdir(parents=True)
    (dated / "acme").write_text("hunter2")
    (folder / "..data").symlink_to(dated.name)
    (folder / "acme").symlink_to("..data/acme")
    return folder / "acme"


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    """A Kubernetes mount is nothing but links, and they stay inside."""
    secrets = tmp_path / "secrets"

    assert read_bytes(mounted(secrets), limit=LIMIT, within=secrets) == b"hunter2"


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """What counts is where both end."""
    path = mounted(tmp_path / "real")
    (tmp_path / "secrets").symlink_to("real")

    assert read_bytes(path, limit=LIMIT, within=tmp_path / "secrets") == b"hunter2"


@pytest.mark.parametrize(
    "name", ["../outside", "link", "deeper/../../outside", "nowhere/../../outside"]
)
def test_nothing_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    """By `..` or by a link: what is outside stays there."""
    secrets = tmp_path / "secrets"
    (secrets / "deeper").mkdir(parents=True)
    (tmp_path / "outside").write_text("hunter2")
    (secrets / "link").symlink_to("../outside")

    with pytest.raises(Unreadable, match="leads out of FORWARDER_SECRETS_DIR"):
        read_bytes(secrets / name, limit=LIMIT, within=secrets)


@pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_RDONLY])
@pytest.mark.parametrize(
    "make",
    [lambda path: path.symlink_to("victim"), os.mkfifo, Path.mkdir, lambda p: p.symlink_to("no")],
    ids=["a link", "a FIFO", "a folder", "a dangling link"],
)
def test_a_file_of_ours_is_no_other(
    make: Callable[[Path], object], flags: int, tmp_path: Path
) -> None:
    """What is written must not lead to somebody else's file, nor wait for a reader."""
    (tmp_path / "victim").write_text("precious")
    path = tmp_path / "ours"
    make(path)

    with pytest.raises(OSError, match=r"remove it|Is a directory"):
        open_own(path, flags)

    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_of_ours_is_made_for_us_alone(tmp_path: Path) -> None:
    os.close(open_own(tmp_path / "ours", os.O_WRONLY | os.O_CREAT))

    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o600, None), (0o644, None), (0o640, None), (0o666, "everybody"), (0o602, "everybody")],
)
def test_who_may_change_a_file(mode: int, expected: str | None, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch()
    path.chmod(mode)

    assert foreign_writers(path) == expected


def test_a_group_that_we_are_in_is_not_foreign(tmp_path: Path) -> None:
    """Kubernetes makes a volume writable to the pod's own group (fsGroup)."""
    tmp_path.chmod(0o770)

    assert foreign_writers(tmp_path) is None
    assert foreign_writers(tmp_path / "nowhere") is None


def test_a_path_is_one_line() -> None:
    """Neither a terminal nor a log can be led astray by the name of a file."""
    assert printable(Path("a\nforwarder: forged\x1b[2J\u202e")) == "a�forwarder: forged�[2J�"


async def test_work_beside_the_loop_returns_and_raises() -> None:
    assert await beside_the_loop(lambda: 42) == 42
    with pytest.raises(Unreadable):
        await beside_the_loop(lambda: read_bytes(Path("/nowhere"), limit=1))


async def test_work_that_hangs_holds_up_nobody() -> None:
    """Its thread is a daemon, and whoever waits for it can be cancelled."""
    release, threads = threading.Event(), list[threading.Thread]()

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait()

    waiting = asyncio.ensure_future(beside_the_loop(hang))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    release.set()
    assert [thread.daemon for thread in threads] == [True]


class _temporary:  # noqa: N801 - used as a function; hypothesis calls a test many times with one tmp_path
    def __init__(self, content: bytes) -> None:
        self._descriptor = os.memfd_create("content")
        os.write(self._descriptor, content)

    def __enter__(self) -> Path:
        return Path(f"/proc/self/fd/{self._descriptor}")

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def test_a_process_without_a_descriptor_says_nothing_about_the_file(tmp_path: Path) -> None:
    """Whoever asks can tell that it is worth another look, and that nothing is wrong with the file."""
    path = tmp_path / "secret"
    path.write_text("hunter2")

    with no_descriptor_left(), pytest.raises(NoDescriptorLeft, match="Too many open files"):
        read_secret(path)
