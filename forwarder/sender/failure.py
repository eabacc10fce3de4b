"""
The failures of an exchange, as the transport raises them and an attempt records them.

They are httpx errors, because they also reach callers of httpx's client.

    httpx.TransportError
    └── TransportFailure        carries the error word and a clause for people
        ├── ConnectionLost      the connection ended before the answer's headers did
        └── NoDescriptor        this process has no file descriptor to spare; says nothing about the receiver
"""

import errno
import os
import socket
import ssl

import httpx

from forwarder.delivery import ErrorWord


class TransportFailure(httpx.TransportError):
    """
    No answer came; `word` is from the fixed vocabulary, `detail` is one clause for people.

    Neither ever holds a URL, a header or a body.
    """

    def __init__(self, word: ErrorWord, detail: str, *, address: str | None = None) -> None:
        super().__init__(f"{word}: {detail}")
        self.word = word
        self.detail = detail
        self.address = address
        """The IP address that was dialled, if any."""


class ConnectionLost(TransportFailure):
    """The connection ended before the answer's headers did."""


class NoDescriptor(TransportFailure):
    """Nothing was sent, because this process has no file descriptor to spare."""

    def __init__(self) -> None:
        super().__init__("unreachable", "no file descriptor is free for it")


_WORDS = {
    errno.ECONNREFUSED: "connect_refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}

_LOOKUP_DETAILS = {
    socket.EAI_NONAME: "the host's name does not exist",
    socket.EAI_AGAIN: "the name server gave no answer",
    socket.EAI_FAIL: "the name server failed",
}


def network_failure(error: Exception, *, stage: str) -> TransportFailure:
    """The failure for an error of the operating system or TLS during `stage` ("connecting", …)."""
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error)
    if is_about_descriptors(error):
        return NoDescriptor()
    number = getattr(error, "errno", None)
    if not number:
        return TransportFailure("reset", f"the connection was closed while {stage}")
    word = _WORDS.get(number, "unreachable")
    return TransportFailure(word, f"{os.strerror(number).lower()} while {stage}")


def is_about_descriptors(error: Exception) -> bool:
    """Whether the process or the system had no file descriptor left."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def lookup_failure(error: OSError | UnicodeError) -> TransportFailure:
    """The failure for a host's name that led to no address."""
    if is_about_descriptors(error):
        return NoDescriptor()
    number = error.errno if isinstance(error, OSError) else None
    return TransportFailure("dns", _LOOKUP_DETAILS.get(number or 0, "the lookup failed"))


def lost_connection(error: Exception | None, *, has_answered: bool) -> TransportFailure:
    """The failure for a connection that ended before the answer's head was complete; None is an orderly close."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _tls_failure(error)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        known = network_failure(error, stage="waiting for the answer")
        return ConnectionLost(known.word, known.detail)
    when = "in the middle of its answer" if has_answered else "without an answer"
    return ConnectionLost("reset", f"the receiver closed the connection {when}")


def _tls_failure(error: ssl.SSLError) -> TransportFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportFailure("tls", f"its certificate is not trusted: {error.verify_message}")
    reason = getattr(error, "reason", None) or "the handshake failed"
    detail = reason.replace("_", " ").lower()
    return TransportFailure("client_certificate" if _is_about_ours(reason) else "tls", detail)


def _is_about_ours(reason: str) -> bool:
    """Whether an alert speaks of our certificate, because the other side judges no other (RFC 8446 §6.2)."""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)
