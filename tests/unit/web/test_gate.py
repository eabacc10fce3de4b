"""The gate, by a clock that is set by hand: who is let in, who is closed, and what the parser gets to see."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.clock import HandClock
from support.properties import examples

from forwarder.web.gate import Connection, Gate, Limits, Stage
from forwarder.web.head import CROWDED, HEAD_BYTES, LATE, LONG_HEAD
from forwarder.web.turns import Turns

LIMITS = Limits(connections=3, unsent_bytes=100, fresh_seconds=0.01)
START = b"GET / HTTP/1.1\r\nhost: a\r\n"
REQUEST = START + b"\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport whose client is the test."""

    def __init__(self, on_abort: Callable[[], object]) -> None:
        super().__init__()
        self.on_abort = on_abort
        self.written = b""
        self.unsent = 0
        self.reads = True
        self.is_open = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        if self.is_open:
            self.is_open = False
            self.on_abort()

    def is_closing(self) -> bool:
        return not self.is_open

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def get_write_buffer_size(self) -> int:
        return self.unsent


@dataclass
class Parser(asyncio.Protocol):
    """Keeps what it gets, and answers when the test says so."""

    requests: list[bytes] = field(default_factory=list)
    is_paused: bool = False
    is_lost: bool = False

    def data_received(self, data: bytes) -> None:
        self.requests.append(data)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


class Port:
    """A gate with clients."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.parsers: dict[Connection, Parser] = {}
        self.gate = Gate(self._parser, clock=self.clock, limits=LIMITS)

    def _parser(self, connection: Connection) -> Parser:
        return self.parsers.setdefault(connection, Parser())

    def has_room(self) -> bool:
        """Whether a newcomer has a place, once whoever gives way has left."""
        if self.gate.make_room():
            return True
        self.clock.advance(0)
        return self.gate.left.is_set() and self.gate.make_room()

    def connect(self, sent: bytes = b"") -> "Client":
        self.clock.advance(0.01)
        assert self.has_room()
        client = Client(self, self.gate.enter())
        client.send(sent)
        return client


class Client:
    def __init__(self, port: Port, connection: Connection) -> None:
        self._port = port
        self.connection = connection
        self.wire = Wire(lambda: port.clock.call_later(0, lambda: connection.connection_lost(None)))
        connection.connection_made(self.wire)

    @property
    def parser(self) -> Parser:
        return self._port.parsers[self.connection]

    def send(self, data: bytes) -> None:
        """As the loop hands it over: in pieces, and none once reading is paused."""
        while data and self.wire.reads and self.wire.is_open:
            buffer = self.connection.get_buffer(-1)
            piece, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))
        self._port.clock.advance(0.01)  # its turn has come

    def stall(self, unsent: int = 50) -> None:
        self.wire.unsent = unsent
        self.connection.pause_writing()

    def read_on(self) -> None:
        self.wire.unsent = 0
        self.connection.resume_writing()


@pytest.fixture
def port() -> Port:
    return Port()


def test_the_parser_sees_complete_requests_only(port: Port) -> None:
    """A request reaches the parser in one piece, its body too, however it came."""
    client = port.connect()
    for byte in POST + b"body":
        assert not port.parsers
        client.send(bytes([byte]))
    assert client.parser.requests == [POST + b"body"]


def test_a_request_waits_for_the_answer_to_the_one_before(port: Port) -> None:
    """Requests that are sent ahead go to the parser one after the other; meanwhile no more is read."""
    client = port.connect(REQUEST + POST)
    client.send(b"body")
    assert client.parser.requests == [REQUEST]
    assert not client.wire.reads
    client.connection.answered()
    client.send(b"body")
    assert client.parser.requests == [REQUEST, POST + b"body"]


def test_an_endless_head_is_refused(port: Port) -> None:
    """Past its size a head is answered with 431, nothing more is read, and the connection closed a moment later."""
    client = port.connect(START + b"x: " + b"a" * 2 * HEAD_BYTES)
    assert client.wire.written == LONG_HEAD.answer
    assert not client.wire.reads
    port.clock.advance(LIMITS.refused_seconds)
    assert not client.wire.is_open
    assert not port.parsers


def test_a_slow_head_is_refused_in_time(port: Port) -> None:
    """A head has its seconds from the connection on, however often something comes."""
    client = port.connect()
    for byte in START[:6]:
        assert client.wire.written == b""
        client.send(bytes([byte]))
        port.clock.advance(LIMITS.head_seconds / 6)
    assert client.wire.written == LATE.answer


def test_a_slow_body_is_refused_in_time(port: Port) -> None:
    """A body has its own seconds, from the head on."""
    client = port.connect(POST)
    port.clock.advance(LIMITS.body_seconds)
    assert client.wire.written == LATE.answer


def test_who_says_nothing_is_closed_without_a_word(port: Port) -> None:
    """A connection without a byte, or idle after an answer, ends; nobody waits for an answer there."""
    silent, idle = port.connect(), port.connect(REQUEST)
    idle.connection.answered()
    port.clock.advance(LIMITS.idle_seconds)
    assert not silent.wire.is_open
    assert not idle.wire.is_open
    assert silent.wire.written == idle.wire.written == b""


def test_an_answer_has_the_time_it_needs(port: Port) -> None:
    """A stream goes on for as long as its client reads."""
    client = port.connect(REQUEST)
    port.clock.advance(3600)
    assert client.wire.is_open


def test_a_newcomer_gets_the_place_that_can_best_be_spared(port: Port) -> None:
    """First who idles, then an incomplete request, with a word, then who does not read; never who is being answered."""
    unread, half, idle = port.connect(REQUEST), port.connect(START), port.connect(REQUEST)
    unread.stall()
    idle.connection.answered()
    port.connect(REQUEST)
    assert [client.wire.is_open for client in (unread, half, idle)] == [True, True, False]
    port.connect(REQUEST)
    assert [client.wire.is_open for client in (unread, half, idle)] == [True, False, False]
    assert half.wire.written == CROWDED.answer
    port.connect(REQUEST)
    assert not unread.wire.is_open
    assert not port.has_room()


def test_the_oldest_incomplete_request_goes_first(port: Port) -> None:
    """Half-open requests push each other out, in the order in which they came."""
    clients = [port.connect(START) for _ in range(10)]
    assert [client.wire.is_open for client in clients] == [False] * 7 + [True] * 3


def test_a_newcomer_has_time_to_bring_its_request(port: Port) -> None:
    """It is not spared for the next one at once, even where all others are being answered."""
    for _ in range(LIMITS.connections - 1):
        port.connect(REQUEST)
    fresh = Client(port, port.gate.enter())
    assert not port.has_room()
    assert fresh.wire.is_open
    port.clock.advance(2 * LIMITS.fresh_seconds)
    assert port.gate.left.is_set()
    assert port.has_room()
    assert not fresh.wire.is_open


def test_who_is_answered_leaves_when_somebody_waits(port: Port) -> None:
    """Clients with ever more requests at hand do not keep their places while there is a newcomer."""
    clients = [port.connect(REQUEST * 9) for _ in range(LIMITS.connections)]
    assert not port.has_room()
    clients[1].connection.answered()
    assert [client.wire.is_open for client in clients] == [True, False, True]
    newcomer = port.connect(REQUEST)
    newcomer.connection.answered()
    assert newcomer.wire.is_open


def test_who_does_not_read_is_closed(port: Port) -> None:
    """An answer that is hardly taken ends the connection; one that is taken slowly does not."""
    stuck, slow = port.connect(REQUEST), port.connect(REQUEST)
    stuck.stall(LIMITS.stall_bytes * 3)
    slow.stall(LIMITS.stall_bytes * 3)
    for client in (stuck, slow):
        client.connection.answered()
    slow.wire.unsent -= LIMITS.stall_bytes
    port.clock.advance(LIMITS.stall_seconds)
    assert not stuck.wire.is_open
    assert slow.wire.is_open
    slow.read_on()
    assert not slow.parser.is_paused
    assert slow.connection.stage is Stage.IDLE


def test_unsent_answers_share_their_memory(port: Port) -> None:
    """Past the limit of all of them, who has not been reading for longest is closed; a single one may be larger."""
    clients = [port.connect(REQUEST) for _ in range(3)]
    for client, unsent in zip(clients, (60, 30, 200), strict=True):
        port.clock.advance(0.01)
        client.stall(unsent)
        client.connection.answered()
        port.clock.advance(0.01)
    assert [client.wire.is_open for client in clients] == [False, False, True]


def test_closing_lets_answers_end(port: Port) -> None:
    """At a stop, whoever is not being answered is closed at once; then the others."""
    half, answering = port.connect(START), port.connect(REQUEST)
    port.gate.close(up_to=Stage.ASKING)
    assert not half.wire.is_open
    assert answering.wire.is_open
    port.gate.close()
    assert not answering.wire.is_open


def test_closing_meets_who_has_only_a_place_yet(port: Port) -> None:
    """A stop may fall between a connection's place and its transport: it is closed as soon as it has one."""
    connection = port.gate.enter()
    port.gate.close(up_to=Stage.ASKING)
    late = Client(port, connection)
    assert not late.wire.is_open
    port.clock.advance(0)
    assert len(port.gate) == 0


def test_requests_begin_one_at_a_time() -> None:
    """They take turns, some time apart, in their order; who has left has none."""
    clock, begun = HandClock(), list[str]()
    turns = Turns(clock, seconds=1.0)
    calls = {name: (lambda name=name: begun.append(name)) for name in "abcd"}
    for call in calls.values():
        turns.ask(call)
    turns.forget(calls["c"])
    seen = [list(begun)]
    for _ in range(3):
        clock.advance(1.0)
        seen.append(list(begun))
    assert seen == [["a"], ["a", "b"], ["a", "b", "d"], ["a", "b", "d"]]


class Crowd(RuleBasedStateMachine):
    """Any clients at all."""

    def __init__(self) -> None:
        super().__init__()
        self.port = Port()
        self.clients: list[Client] = []

    @rule(sent=st.sampled_from([b"", START, REQUEST, REQUEST * 2, POST]))
    def connect(self, sent: bytes) -> None:
        if self.port.has_room():
            self.clients.append(self.port.connect(sent))

    @rule(
        index=st.integers(0, 9),
        sent=st.sampled_from([b"\r\n", REQUEST, b"body", b"a" * HEAD_BYTES]),
    )
    def send(self, index: int, sent: bytes) -> None:
        for client in self.clients[index : index + 1]:
            client.send(sent)

    @rule(index=st.integers(0, 9))
    def answer(self, index: int) -> None:
        for client in self.clients[index : index + 1]:
            client.connection.answered()

    @rule(index=st.integers(0, 9), is_stalled=st.booleans())
    def stall(self, index: int, is_stalled: bool) -> None:
        for client in self.clients[index : index + 1]:
            if client.wire.is_open and bool(client.wire.unsent) is not is_stalled:
                client.stall() if is_stalled else client.read_on()

    @rule(index=st.integers(0, 9))
    def leave(self, index: int) -> None:
        for client in self.clients[index : index + 1]:
            client.wire.abort()

    @rule()
    def wait(self) -> None:
        """After a minute, whoever still has a place is being answered, and reads it."""
        self.port.clock.advance(60)
        self.clients = [client for client in self.clients if client.wire.is_open]
        assert len(self.port.gate) == len(self.clients)
        for client in self.clients:
            assert client.connection.stage is Stage.ANSWERING
            assert client.wire.unsent == 0

    @invariant()
    def no_more_have_a_place_than_there_are(self) -> None:
        assert len(self.port.gate) <= LIMITS.connections


Crowd.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
TestCrowd = Crowd.TestCase
