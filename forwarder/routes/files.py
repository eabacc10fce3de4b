"""The files that a routing file names are read once per load, with a note of what was found."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from forwarder.files import (
    LIST_LIMIT,
    PEM_LIMIT,
    SECRET_LIMIT,
    NoDescriptorLeft,
    Unreadable,
    as_pem,
    as_secret,
    as_text,
    read_bytes,
)
from forwarder.template_language import LIMIT_BYTES as TEMPLATE_LIMIT

ROUTES_LIMIT = 4 << 20
"""Most bytes of a routing file: some 20,000 endpoints. Long lists of devices stand in files of their own."""

NOT_LOOKED_AT = b""
"""Stands for the digest of a file that could not be opened because the process had no descriptor left."""

Signature: TypeAlias = tuple[int, ...]
"""The result of one stat, empty for a missing file. It changes when a symbolic link on the way is swapped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file, and the bounds within which it may be read."""

    path: Path
    limit: int
    within: Path | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as one load saw it."""

    signature: Signature
    digest: bytes
    """Digest of the content, or of the reason why there is none. NOT_LOOKED_AT if that reason is not the file's."""


@dataclass(slots=True)
class Files:
    """
    Reads files and remembers each one. Relative paths start at `folder`.

    Secrets have to lie below `secrets_dir`, if it is given. Each method that reads raises Unreadable.
    """

    folder: Path
    secrets_dir: Path | None = None
    seen: dict[Wanted, Seen] = field(default_factory=dict)
    _contents: dict[Wanted, bytes | Unreadable] = field(default_factory=dict)

    def locate(self, name: str) -> Path:
        return self.folder / name

    def routes(self, path: Path) -> str:
        return as_text(self._read(Wanted(path, ROUTES_LIMIT)), path)

    def devices(self, path: Path) -> str:
        return as_text(self._read(Wanted(path, LIST_LIMIT)), path)

    def template(self, path: Path) -> str:
        """The text of a template. It lies beside the routing file or where secrets may, because its text is sent."""
        within = self.secrets_dir
        if within is not None and path.resolve().is_relative_to(self.folder.resolve()):
            within = self.folder
        return as_text(self._read(Wanted(path, TEMPLATE_LIMIT, within)), path)

    def secret(self, path: Path) -> str:
        """The secret in a file, without the blanks around it."""
        return as_secret(self._read(Wanted(path, SECRET_LIMIT, self.secrets_dir)), path)

    def authorities(self, path: Path) -> bytes:
        """Certificates to trust. They are public, so they may lie anywhere."""
        return as_pem(self._read(Wanted(path, PEM_LIMIT)), path)

    def identity(self, path: Path) -> bytes:
        """A certificate of ours, or its key. It lies where secrets may, because whoever names it speaks in its name."""
        return as_pem(self._read(Wanted(path, PEM_LIMIT, self.secrets_dir)), path)

    def _read(self, wanted: Wanted) -> bytes:
        if wanted not in self._contents:
            self.seen[wanted], self._contents[wanted] = look(wanted)
        content = self._contents[wanted]
        if isinstance(content, Unreadable):
            raise content
        return content


def look(wanted: Wanted) -> tuple[Seen, bytes | Unreadable]:
    """The content that is there now, and the note by which a later look knows whether it has changed."""
    signature = sign(wanted.path)
    content: bytes | Unreadable
    try:
        content = read_bytes(wanted.path, limit=wanted.limit, within=wanted.within)
    except NoDescriptorLeft as error:
        return Seen(signature, NOT_LOOKED_AT), error
    except Unreadable as error:
        content = error
    noted = content if isinstance(content, bytes) else str(content).encode()
    return Seen(signature, hashlib.blake2b(noted, digest_size=16).digest()), content


def sign(path: Path) -> Signature:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return ()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
