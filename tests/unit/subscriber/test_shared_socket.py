"""The one queue to the broker: whole packets in order, whatever the kernel and TLS do."""

import socket
import ssl
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.subscriber.shared_socket import SharedSocket


class ScriptedSocket(socket.socket):
    """A socket that takes and gives as a test says: a number of bytes, or an error; and then as it pleases."""

    results: Iterator[int | OSError] = iter(())

    def _next(self) -> int:
        result = next(self.results, 1 << 20)
        if isinstance(result, OSError):
            raise result
        return result

    def send(self, data: bytes, *_: int) -> int:  # type: ignore[override]
        return super().send(data[: self._next()])

    def recv(self, size: int, *_: int) -> bytes:
        return super().recv(min(size, self._next()))


def pair(*results: int | OSError) -> tuple[SharedSocket, ScriptedSocket, socket.socket]:
    ours, theirs = socket.socketpair()
    scripted = ScriptedSocket(fileno=ours.detach())
    scripted.setblocking(False)
    scripted.results = iter(results)
    return SharedSocket(scripted), scripted, theirs


RESULTS = st.lists(
    st.one_of(
        st.integers(1, 5),
        st.sampled_from([BlockingIOError(), ssl.SSLWantWriteError(), ssl.SSLWantReadError()]),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(results=RESULTS, writers=st.lists(st.booleans(), max_size=12))
def test_packets_leave_whole_and_in_order(
    results: list[int | OSError], writers: list[bool]
) -> None:
    """PUBACKs and what paho writes never stand inside each other, however little is taken at a time."""
    shared, ours, theirs = pair(*results)
    expected = b""
    with ours, theirs:
        for number, is_paho in enumerate(writers):
            packet = bytes([number]) * 4
            if not is_paho:
                shared.write(packet)
            else:
                try:
                    assert shared.send(packet) == 4
                except BlockingIOError:
                    assert shared.has_unsent
                    continue
            expected += packet
        while shared.has_unsent:
            shared.flush()
        theirs.setblocking(False)
        assert (theirs.recv(4096) if expected else b"") == expected


def test_paho_waits_until_the_queue_is_empty() -> None:
    """paho closes once it has written its DISCONNECT, so it may only write when nothing is before it."""
    shared, ours, theirs = pair(BlockingIOError(), BlockingIOError())
    with ours, theirs:
        shared.write(b"puback")
        assert shared.wants_to_write
        with pytest.raises(BlockingIOError):
            shared.send(b"disconnect")
        assert shared.send(b"disconnect") == 10
        assert theirs.recv(64) == b"pubackdisconnect"


def test_write_that_waits_for_input_waits_for_no_room() -> None:
    """TLS may have to read before it can write: then a writable socket says nothing, and would say it for ever."""
    shared, ours, theirs = pair(ssl.SSLWantReadError())
    with ours, theirs:
        shared.write(b"puback")
        assert (shared.has_unsent, shared.wants_to_write) == (True, False)
        assert shared.receive() == b""
        assert shared.wants_to_write


def test_read_that_waits_for_room_says_so() -> None:
    """TLS may have to write before it can read on."""
    shared, ours, theirs = pair(ssl.SSLWantWriteError())
    with ours, theirs:
        theirs.send(b"x")
        assert shared.receive() == b""
        assert (shared.read_waits_for_write, shared.wants_to_write, shared.has_ended) == (
            True,
            True,
            False,
        )
        assert shared.receive() == b"x"
        assert not shared.wants_to_write


def test_paho_reads_what_was_set_aside_and_then_nothing() -> None:
    """paho gets whole packets in pieces of the sizes it asks for, and is never told of an end that has not come."""
    shared, ours, theirs = pair()
    with ours, theirs:
        shared.leave_to_paho(b"\xd0\x00")
        assert (shared.recv(1), shared.recv(5), shared.has_left_for_paho) == (
            b"\xd0",
            b"\x00",
            False,
        )
        with pytest.raises(BlockingIOError):
            shared.recv(1)


def test_end_of_the_stream_is_told_after_what_came_before() -> None:
    """A DISCONNECT that says why must be read before the end that it explains."""
    shared, ours, theirs = pair()
    with ours:
        with theirs:
            theirs.send(b"\xe0\x00")
        assert (shared.receive(), shared.has_ended) == (b"\xe0\x00", False)
        assert (shared.receive(), shared.has_ended) == (b"", True)
        shared.leave_to_paho(b"\xe0\x00")
        assert (shared.recv(2), shared.recv(1)) == (b"\xe0\x00", b"")


@pytest.mark.parametrize("does", ["read", "write"])
def test_failure_is_raised_to_paho(does: str) -> None:
    """paho's own handling of errors decides what a broken connection means."""
    shared, ours, theirs = pair(ConnectionResetError("broken"))
    with ours, theirs:
        shared.receive() if does == "read" else shared.write(b"puback")
        assert (shared.has_ended, shared.wants_to_write) == (True, False)
        with pytest.raises(ConnectionResetError, match="broken"):
            shared.recv(1)


def test_what_came_before_a_failed_write_can_still_be_read() -> None:
    """The broker may have said why before it closed."""
    shared, ours, theirs = pair(BrokenPipeError())
    with ours, theirs:
        theirs.send(b"\xe0\x00")
        shared.write(b"puback")
        assert shared.receive() == b"\xe0\x00"
