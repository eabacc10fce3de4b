"""TLS for one endpoint: the CAs that it trusts, the certificate that it shows, and the session that it resumes."""

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
    A client's context that offers every host the last session that the host gave (RFC 8446 §2.2).

    A session is offered only while the host's certificate is valid, because a resumed session shows no certificate.
    asyncio and uvloop take no `session=`, but both make their TLS objects by `wrap_bio`.
    """

    sessions: OrderedDict[str, tuple[ssl.SSLSession, float]]
    """The session of each host, with the end of the certificate it was given under, in UNIX seconds."""
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
    """The end of the other side's certificate in UNIX seconds; infinite without one."""
    certificate = tls.getpeercert() if tls is not None else None
    not_after = certificate.get("notAfter") if certificate else None
    return ssl.cert_time_to_seconds(str(not_after)) if not_after else math.inf


def remember_session(tls: ssl.SSLObject | None, *, valid_until: float) -> None:
    """
    Keep the session for the next connection to its host until `valid_until` (UNIX seconds).

    The connection has read an answer, because TLS 1.3 sends its tickets after the handshake.
    """
    session = None if tls is None else tls.session
    if tls is None or session is None or not isinstance(tls.context, ResumingContext):
        return
    sessions = tls.context.sessions
    sessions[str(tls.server_hostname)] = session, valid_until
    if len(sessions) > MAX_SESSIONS:
        sessions.popitem(last=False)


class TlsIdentity:
    """The context of the endpoints that share these files; it is built once, when it is first needed."""

    def __init__(
        self, files: TlsFiles | None = None, *, unix: Callable[[], float] = time.time
    ) -> None:
        self._files = files or TlsFiles()
        self._unix = unix
        self._lock = asyncio.Lock()
        self._context: ResumingContext | None = None

    async def context(self) -> ResumingContext:
        """Raises TransportFailure when a file cannot be used; the next call reads the files again."""
        # One build at a time, because its thread is awaited and others may ask meanwhile.
        async with self._lock:
            if self._context is None:
                # The build runs beside the loop, because reading a system's CAs takes tens of milliseconds.
                build = partial(build_context, self._files, unix=self._unix)
                self._context = await beside_the_loop(build)
            return self._context


def build_context(files: TlsFiles, *, unix: Callable[[], float] = time.time) -> ResumingContext:
    """
    A context for TLS 1.2 or newer that checks the host's name, by the system's CAs unless the endpoint brings its own.

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
        # OpenSSL finds no CAs, and says nothing, when no descriptor is free.
        probe_descriptor()
    except OSError as error:
        raise NoDescriptor from error
    return context


def _trust(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.ca_file is None:
        context.load_default_certs()
        return
    # A named file pins what it holds: a root, an intermediate or the receiver's own certificate.
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
                _read(file)  # checked first, because OpenSSL would wait at a pipe
        # The password is given, because OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(files.cert_file, files.key_file, password=lambda: "")
    except (Unreadable, OSError, ValueError) as unusable:
        if is_about_descriptors(unusable):
            raise
        detail = f"cannot use the client certificate {files.cert_file} with its key"
        raise TransportFailure("client_certificate", detail) from unusable


def _read(file: Path) -> str:
    """Raises Unreadable, or NoDescriptor when the file is not to blame."""
    try:
        return read_pem(file)
    except NoDescriptorLeft as error:
        raise NoDescriptor from error
