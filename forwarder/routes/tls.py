"""Certificates of an endpoint are read and tried when the routes are loaded, not when the first delivery fails."""

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from forwarder.files import Unreadable
from forwarder.routes.files import Files
from forwarder.routes.model import TlsFiles


@dataclass(slots=True)
class Certificates:
    """Checks each set of files once per load."""

    files: Files
    _checked: dict[tuple[Path | None, ...], TlsFiles] = field(default_factory=dict)

    def check(self, *, ca: str | None, cert: str | None, key: str | None) -> TlsFiles:
        """The files, which are readable and sound. Raises ValueError with a clause that names the wrong one."""
        paths = tuple(self.files.locate(name) if name else None for name in (ca, cert, key))
        if paths not in self._checked:
            self._checked[paths] = self._check(*paths)
        return self._checked[paths]

    def _check(
        self, ca_file: Path | None, cert_file: Path | None, key_file: Path | None
    ) -> TlsFiles:
        contents = [
            _read(self.files.authorities, ca_file),
            _read(self.files.identity, cert_file),
            _read(self.files.identity, key_file),
        ]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca_file:
            _try_ca(context, ca_file, contents[0])
        if key_file and not cert_file:
            raise ValueError("key_file needs its cert_file")
        if cert_file:
            _try_chain(context, cert_file, key_file)
        digest = hashlib.blake2b(digest_size=16)
        for content in contents:
            digest.update(hashlib.blake2b(content).digest())
        return TlsFiles(ca_file, cert_file, key_file, digest.hexdigest())


def _read(read: Callable[[Path], bytes], path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return read(path)
    except Unreadable as unreadable:
        raise ValueError(str(unreadable)) from None


def _try_ca(context: ssl.SSLContext, path: Path, content: bytes) -> None:
    try:
        context.load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as unsound:
        raise ValueError(f"{path} holds no certificate in PEM form") from unsound


def _try_chain(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    try:
        # An empty password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (ssl.SSLError, OSError, ValueError) as unsound:
        where = f"{cert_file} and {key_file}" if key_file else f"{cert_file}"
        raise ValueError(
            f"{where}: expected a PEM certificate and its key, which must not be encrypted"
        ) from unsound
