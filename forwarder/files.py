"""
This module reads every file that an operator names: settings, routes, secrets, certificates, templates.

    refused before it is opened     a FIFO, a device, a socket, a directory, a file larger than its limit
    opened without blocking         a file that became one of those in between
    empty                           a file of size 0, such as all of /proc, because nothing there is a setting

No error holds any text of a file: it tells the path, what is wrong with it, and what was expected.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Literal, TypeVar

T = TypeVar("T")

SECRET_LIMIT = 64 << 10
PEM_LIMIT = 4 << 20
LIST_LIMIT = 8 << 20
"""The most bytes of a secret, of certificates, and of a list of devices."""

_OPENING = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_PIECE = 1 << 20
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_WRONG_PATH = (OSError, ValueError, RuntimeError)
"""ValueError: the name holds NUL. RuntimeError: links lead round in a circle (before Python 3.13)."""


class Unreadable(Exception):  # noqa: N818 - the name states the fact
    """A file cannot be read; the text is a clause that names it and says why, and quotes nothing of it."""


class NoDescriptorLeft(Unreadable):
    """The process or the system had no file descriptor left, which says nothing about the file."""


def read_bytes(path: Path, *, limit: int, within: Path | None = None) -> bytes:
    """
    The content of a regular file of at most `limit` bytes; `within` confines where its path may lead.

    It never waits for another program. Symbolic links are followed, because Kubernetes' mounts need it, and are judged
    by where they end. Raises Unreadable.
    """
    try:
        return _read(path if within is None else _confined(path, within), limit)
    except _Refusal as refusal:
        raise Unreadable(f"{printable(path)} {refusal}") from None
    except _WRONG_PATH as error:
        raise _unopened(path, error) from None


def read_secret(path: Path) -> str:
    """
    The secret in a file, without a byte order mark, and without line ends and blanks around it. Raises Unreadable.

    Editors and shells add them, and no secret begins or ends with one.
    """
    return as_secret(read_bytes(path, limit=SECRET_LIMIT), path)


def read_pem(path: Path) -> str:
    """The certificates or keys of a file, without bytes that are not ASCII. Raises Unreadable."""
    return as_pem(read_bytes(path, limit=PEM_LIMIT), path).decode("ascii", "ignore")


def read_given(path: Path, *, limit: int) -> bytes:
    """
    The content of a file that a person named on the command line, which may be a pipe: `<(git show HEAD:routes.yaml)`.

    The call waits for the pipe's other end, as `cat` does. Raises Unreadable.
    """
    try:
        is_pipe = stat.S_ISFIFO(path.stat().st_mode)
        if not is_pipe:
            return read_bytes(path, limit=limit)
        with path.open("rb") as pipe:
            content = pipe.read(limit + 1)
    except _WRONG_PATH as error:
        raise _unopened(path, error) from None
    if len(content) > limit:
        raise Unreadable(f"{printable(path)} {_too_large(limit)}")
    return content


def as_text(content: bytes, path: Path) -> str:
    """Raises Unreadable with the line of the first byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"{printable(path)} is not UTF-8 text (line {line})") from None


def as_pem(content: bytes, path: Path) -> bytes:
    """
    The content; raises Unreadable when it is empty.

    OpenSSL opens keys by their path, and would wait for a file of /proc that says it is empty.
    """
    if not content:
        raise Unreadable(f"the file {printable(path)} is empty")
    return content


def as_secret(content: bytes, path: Path) -> str:
    """The stripped text; raises Unreadable when it is empty or not UTF-8."""
    secret = as_text(content, path).strip()
    if not secret:
        raise Unreadable(f"the file {printable(path)} is empty")
    return secret


def open_own(path: Path, flags: int) -> int:
    """
    A descriptor to write a file of ours; a new file gets mode 0600.

    Symbolic links are refused, because they lead to other files, and FIFOs, because they wait. Raises OSError whose
    strerror says what to do.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | _OPENING, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _not_ours(path) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise _not_ours(path)


def write_own(path: Path, text: str, *, mode: int, replaces: bool) -> None:
    """
    Write a file of ours whole, with exactly this mode; replace an existing one only if `replaces`.

    Raises OSError, such as FileExistsError, whose strerror says what is in the way.
    """
    descriptor = open_own(path, os.O_WRONLY | os.O_CREAT | (0 if replaces else os.O_EXCL))
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        os.fchmod(descriptor, mode)  # before the text is in the file
        file.truncate(0)
        file.write(text)


def foreign_writers(path: Path) -> Literal["everybody", "group"] | None:
    """Who else may change a file or the content of a folder: everybody, or a group that we are not in."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    is_foreign = found.st_gid not in (os.getegid(), *os.getgroups())
    return "group" if found.st_mode & stat.S_IWGRP and is_foreign else None


async def beside_the_loop(work: Callable[[], T]) -> T:
    """
    The return value or the error of `work`, run in a daemon thread.

    A file system that hangs then holds up neither the loop nor the end of the process. asyncio's own pool would hold up
    the end, because the process waits for every thread of the pool.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            outcome.set_exception(error)

    outcome.set_running_or_notify_cancel()
    Thread(target=run, name="files", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def printable(text: object) -> str:
    """A path or a name as one line that can neither steer a terminal nor forge a second line."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


class _Refusal(Exception):  # noqa: N818 - the name states the fact
    """A file is not read, although it could be; the text follows its path."""


def _read(path: Path, limit: int) -> bytes:
    _require_readable(path.stat(), limit)  # before the open, because opening a device may act on it
    descriptor = os.open(path, os.O_RDONLY | _OPENING)
    try:
        if not _require_readable(os.fstat(descriptor), limit):
            return b""
        content = bytearray()
        while len(content) <= limit and (piece := os.read(descriptor, _PIECE)):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise _Refusal(_too_large(limit))
    return bytes(content)


def _require_readable(found: os.stat_result, limit: int) -> int:
    """The size of the file. Raises _Refusal."""
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise _Refusal(f"is {kind}; expected a regular file")
    if found.st_size > limit:
        raise _Refusal(_too_large(limit))
    return found.st_size


def _confined(path: Path, within: Path) -> Path:
    """The path without symbolic links, so that it cannot lead elsewhere when it is opened. Raises _Refusal."""
    real = path.resolve()
    if not real.is_relative_to(within.resolve()):
        raise _Refusal(f"leads out of FORWARDER_SECRETS_DIR ({printable(within)}); move it there")
    return real


def _too_large(limit: int) -> str:
    return f"is larger than {limit >> 10:,} KiB"


def _unopened(path: Path, error: Exception) -> Unreadable:
    why = getattr(error, "strerror", None) or "its name leads nowhere"
    kind = NoDescriptorLeft if getattr(error, "errno", None) in _NO_DESCRIPTOR else Unreadable
    return kind(f"cannot read {printable(path)}: {why}")


def _not_ours(path: Path) -> OSError:
    kind = "a symbolic link" if path.is_symlink() else "no regular file"
    return OSError(errno.EINVAL, f"{printable(path)} is {kind}; remove it")
