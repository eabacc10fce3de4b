"""The files that a routing file names: each read once per load, with a note of what was found."""

import errno
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

ROUTES_LIMIT = 16 << 20
SECRET_LIMIT = 64 << 10

NOT_LOOKED_AT = b""
"""In place of a digest: the process had no descriptor to read the file with."""

Signature: TypeAlias = tuple[int, ...]
"""What one stat says of a file: it changes when a symbolic link on the way is swapped; empty when it is missing."""


class Unreadable(Exception):  # noqa: N818 - the name states the fact
    """A file cannot be read; the text is a clause that names it and says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as one load saw it."""

    signature: Signature
    digest: bytes
    """Of the content, or of the reason why there was none; NOT_LOOKED_AT when that says nothing about the file."""
    limit: int


@dataclass(slots=True)
class Files:
    """Reads files below `folder` (where a relative path starts) and remembers each one."""

    folder: Path
    seen: dict[Path, Seen] = field(default_factory=dict)
    _contents: dict[Path, bytes | Unreadable] = field(default_factory=dict)

    def locate(self, name: str) -> Path:
        return self.folder / name

    def read(self, path: Path, *, limit: int) -> bytes:
        """The content of a file of at most `limit` bytes. Raises Unreadable."""
        if path not in self._contents:
            self.seen[path], self._contents[path] = look(path, limit=limit)
        content = self._contents[path]
        if isinstance(content, Unreadable):
            raise content
        return content

    def read_text(self, path: Path, *, limit: int) -> str:
        """The same as text without a byte order mark. Raises Unreadable, also when it is not UTF-8."""
        content = self.read(path, limit=limit)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise Unreadable(f"{path} is not UTF-8 text (line {line})") from error


def look(path: Path, *, limit: int) -> tuple[Seen, bytes | Unreadable]:
    """What is at `path` now, and how to tell later whether it is still that."""
    signature = sign(path)
    content: bytes | Unreadable
    try:
        content = _read(path, limit=limit)
    except OSError as error:
        content = Unreadable(f"cannot read {path}: {error.strerror or error}")
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return Seen(signature, NOT_LOOKED_AT, limit), content
    except Unreadable as error:
        content = error
    noted = content if isinstance(content, bytes) else str(content).encode()
    return Seen(signature, hashlib.blake2b(noted, digest_size=16).digest(), limit), content


def sign(path: Path) -> Signature:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _read(path: Path, *, limit: int) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(content) > limit:
        raise Unreadable(f"{path} is larger than {limit >> 10:,} KiB")
    return content
