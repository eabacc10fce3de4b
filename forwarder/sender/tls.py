"""TLS for one endpoint: whom it trusts, who it says it is, and the session it takes up again."""

import asyncio
import math
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from forwarder.files import NoDescriptorLeft, Unreadable, beside_the_loop, read_pem
from forwarder.routes.model import TlsFiles
from forwarder.sender.descriptors import probe_descriptor
from forwarder.sender.failure import NoDescriptor, TransportFailure, is_about_descriptors

MAX_SESSIONS = 256


class ResumingContext(ssl.SSLContext):
    """
    A client's context that offers every host the last session it gave (RFC 8446 §2.2).

    No longer than the host's certificate is valid: who takes up a session shows no certificate. asyncio and uvloop know
    no `session=`; both make their TLS objects by `wrap_bio`.
    """

    sessions: OrderedDict[str, tuple[ssl.SSLSession, float]]
    """Each with the end of the certificate that it was given under, in UNIX seconds."""
    unix: Callable[[], float]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        known = session or self._session(str(server_hostname))
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, known)

    def _session(self, host: str) -> ssl.SSLSession | None:
        session, valid_until = self.sessions.get(host, (None, math.inf))
        if self.unix() < valid_until:
            return session
        del self.sessions[host]
        return None


def end_of_certificate(tls: ssl.SSLObject | None) -> float:
    """Until when the certificate at the other end is valid, in UNIX seconds; for ever where there is none."""
    certificate = tls.getpeercert() if tls is not None else None
    not_after = certificate.get("notAfter") if certificate else None
    return ssl.cert_time_to_seconds(str(not_after)) if not_after else math.inf


def remember_session(tls: ssl.SSLObject | None, *, valid_until: float) -> None:
    """
    Keep the session of a connection that has read an answer, for the next to its host until then (UNIX seconds).

    Not earlier: TLS 1.3 sends its tickets after the handshake.
    """
    session = None if tls is None else tls.session
    if tls is None or session is None or not isinstance(tls.context, ResumingContext):
        return
    sessions = tls.context.sessions
    sessions[str(tls.server_hostname)] = session, valid_until
    if len(sessions) > MAX_SESSIONS:
        sessions.popitem(last=False)


class TlsIdentity:
    """The context of the endpoints that share these files, built once, when it is first needed."""

    def __init__(
        self, files: TlsFiles | None = None, *, unix: Callable[[], float] = time.time
    ) -> None:
        self._files = files or TlsFiles()
        self._unix = unix
        self._lock = asyncio.Lock()
        self._context: ResumingContext | None = None

    async def context(self) -> ResumingContext:
        """
        Raises TransportFailure when a file cannot be used; the next call looks at the files again.
        """
        async with self._lock:
            if self._context is None:
                # Reading a system's CAs takes tens of milliseconds, in which no other endpoint may wait.
                build = partial(build_context, self._files, unix=self._unix)
                self._context = await beside_the_loop(build)
            return self._context


def build_context(files: TlsFiles, *, unix: Callable[[], float] = time.time) -> ResumingContext:
    """
    TLS 1.2 or newer, the host's name checked, the system's CAs unless the endpoint brings its own.

    Raises TransportFailure that names the file that cannot be used.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sessions = OrderedDict()
    context.unix = unix
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        _trust(context, files)
        _identify(context, files)
        # Without one the system's CAs would have been none, and without a word.
        probe_descriptor()
    except OSError as error:
        raise NoDescriptor from error
    return context


def _trust(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.ca_file is None:
        context.load_default_certs()
        return
    # Whoever names a file pins what it holds, be it a root, an intermediate or the receiver's own certificate.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=_read(files.ca_file))
    except (Unreadable, OSError, ValueError) as unusable:
        if is_about_descriptors(unusable):
            raise
        raise TransportFailure("tls", f"cannot use the CA file {files.ca_file}") from unusable


def _identify(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.cert_file is None:
        return
    try:
        for file in (files.cert_file, files.key_file):
            if file is not None:
                _read(file)  # OpenSSL opens it by its path, and would wait for whatever is there
        # Without an answer of ours OpenSSL would ask the terminal for the password of an encrypted key.
        context.load_cert_chain(files.cert_file, files.key_file, password=lambda: "")
    except (Unreadable, OSError, ValueError) as unusable:
        if is_about_descriptors(unusable):
            raise
        detail = f"cannot use the client certificate {files.cert_file} with its key"
        raise TransportFailure("client_certificate", detail) from unusable


def _read(file: Path) -> str:
    """Raises Unreadable, and NoDescriptor when that says nothing about the file."""
    try:
        return read_pem(file)
    except NoDescriptorLeft as error:
        raise NoDescriptor from error
