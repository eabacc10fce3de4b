import errno
import socket
import ssl

import pytest

from forwarder.sender.failure import (
    ConnectionLost,
    NoDescriptor,
    lookup_failure,
    lost_connection,
    network_failure,
)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ECONNREFUSED, "connect_refused"),
        (errno.ECONNRESET, "reset"),
        (errno.EPIPE, "reset"),
        (errno.ECONNABORTED, "reset"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EADDRNOTAVAIL, "unreachable"),
        (errno.EACCES, "unreachable"),
    ],
)
def test_what_the_system_says_becomes_a_word(number: int, word: str) -> None:
    """Every error of the operating system has one word of the vocabulary."""
    failure = network_failure(OSError(number, "whatever"), stage="connecting")
    assert failure.word == word
    assert failure.detail.endswith(" while connecting")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_want_of_descriptors_is_ours(number: int) -> None:
    """It has a type of its own, because it says nothing about the receiver."""
    error = OSError(number, "whatever")
    assert isinstance(network_failure(error, stage="connecting"), NoDescriptor)
    assert isinstance(lookup_failure(error), NoDescriptor)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "the host's name does not exist"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "the name server gave no answer"),
        (socket.gaierror(socket.EAI_MEMORY, "x"), "the lookup failed"),
        (UnicodeError("label too long"), "the lookup failed"),
    ],
)
def test_failed_lookup_is_dns(error: OSError | UnicodeError, detail: str) -> None:
    """A name without an address is `dns`, and the detail says why."""
    failure = lookup_failure(error)
    assert (failure.word, failure.detail) == ("dns", detail)


@pytest.mark.parametrize(
    ("has_answered", "when"), [(False, "without an answer"), (True, "in the middle of its answer")]
)
def test_orderly_close_before_the_answer_is_a_reset(has_answered: bool, when: str) -> None:
    """A receiver that closes instead of answering is told apart from one that closes within its answer."""
    failure = lost_connection(None, has_answered=has_answered)
    assert isinstance(failure, ConnectionLost)
    assert (failure.word, failure.detail) == ("reset", f"the receiver closed the connection {when}")


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "client_certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "client_certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "client_certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls"),
        ("WRONG_VERSION_NUMBER", "tls"),
        (None, "tls"),
    ],
)
def test_alerts_about_certificates_speak_of_ours(reason: str | None, word: str) -> None:
    """The certificate that the other side complains about is the client's."""
    error = ssl.SSLError(1, "x")
    if reason is not None:
        error.reason = reason
    assert lost_connection(error, has_answered=False).word == word
