"""
Answers that no server should give but some do, each with the verdict of curl and with ours.

The verdicts of curl are recorded; CURL names its version. `python tests/support/odd_answers.py` asks the curl of this
machine again, and prints the differences.
"""

import socket
import subprocess
import threading
from dataclasses import dataclass

CURL = "curl 7.88.1 (libcurl/7.88.1, OpenSSL/3.0.19, Debian 12)"
OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"content-length: 2\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"\r\n2\r\nok\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Odd:
    """One answer on the wire, after which the receiver closes."""

    name: str
    wire: bytes
    curl: str
    """The status that curl prints, 000 for none, and its exit code unless that is 0."""
    ours: int
    """The status that we take, 0 for none."""
    because: str = ""
    """Why we take another status than curl prints."""

    @property
    def curl_status(self) -> int:
        return int(self.curl.split()[0])


def _given(name: str, head: bytes, curl: str) -> Odd:
    """An answer on which our verdict is curl's."""
    return Odd(name, head + b"\r\nok", curl, int(curl.split()[0]))


def _line(line: bytes, curl: str) -> Odd:
    return _given(f"the status line {line!r}", line + b"\r\n" + TWO, curl)


def _field(line: bytes, curl: str) -> Odd:
    return _given(f"the field {line!r}", OK + line + b"\r\n" + TWO, curl)


def _length(value: bytes, curl: str) -> Odd:
    return _given(f"the length {value!r}", OK + b"content-length:" + value + b"\r\n", curl)


def _coding(value: bytes, curl: str, *, more: bytes = b"", body: bytes = CHUNKS) -> Odd:
    wire = OK + b"transfer-encoding: " + value + b"\r\n" + more + body
    return Odd(f"the coding {value!r}, {more + body!r}", wire, curl, int(curl.split()[0]))


ODD_ANSWERS = (
    Odd("a length, then chunked", OK + TWO + CHUNKED + CHUNKS, "200", 200),
    Odd("chunked, then a length", OK + CHUNKED + TWO + CHUNKS, "200", 200),
    Odd("a length and chunked, but no chunks", OK + TWO + CHUNKED + b"\r\nok", "200 exit 56", 200),
    _field(b"x: a\r\n  b", "200"),
    _field(b"x: a\r\n\tb", "200"),
    _field(b" x: a", "200 exit 43"),
    Odd("bare LF", (OK + TWO + b"\r\nok").replace(b"\r", b""), "200", 200),
    Odd("bare LF after the status line", b"HTTP/1.1 200 OK\n" + TWO + b"\r\nok", "200", 200),
    Odd("bare LF at the end of the head", OK + TWO + b"\nok", "200", 200),
    Odd("bare LF in chunks", (OK + CHUNKED + CHUNKS).replace(b"\r", b""), "200", 200),
    Odd("bare LF in an interim answer", b"HTTP/1.1 100 C\n\n" + OK + TWO + b"\r\nok", "200", 200),
    _field(b"x: a\rb", "200"),
    _field(b"x: a\r", "200"),
    _field(b"x\0y: z", "200 exit 8"),
    _field(b"x: z\0y", "200 exit 8"),
    _field(b"x: \x01\x7f", "200"),
    _field(b"x: \xe4\xff", "200"),
    _field(b"\xc3\xa4: x", "200"),
    _field(b"x : y", "200"),
    _field(b"x y: z", "200"),
    _field(b"junk", "200 exit 8"),
    _field(b": z", "200"),
    _field(b"x(y)@: z", "200"),
    _field(b'set-cookie: a="\x07', "200"),
    _field(b"content-length: 2", "200"),
    _field(b"content-length: 3", "200"),
    _length(b" 2, 2", "200"),
    _length(b" 2, 3", "200"),
    _length(b" -2", "200 exit 8"),
    _length(b" +2", "200"),
    _length(b" two", "200 exit 8"),
    _length(b"", "200 exit 8"),
    _length(b" 0x2", "200"),
    _length(b" 99999999999999999999999", "200"),
    _length(b" 9", "200 exit 18"),
    _coding(b"gzip", "200 exit 61", body=b"\r\nok"),
    _coding(b"gzip, chunked", "200 exit 61"),
    _coding(b"chunked, chunked", "200"),
    _coding(b"chunked, identity", "200"),
    _coding(b"identity", "200", more=TWO, body=b"\r\nok"),
    _coding(b"xchunked", "200 exit 61", body=b"\r\nok"),
    _coding(b"chunked", "200 exit 56", body=b"\r\n-1\r\nok\r\n"),
    _coding(b"chunked", "200", body=b"\r\n2 \r\nok\r\n0\r\n\r\n"),
    _coding(b"chunked", "200 exit 56", body=b"\r\nzz\r\nok\r\n"),
    _line(b"HTTP/1.1 999 No", "999"),
    _line(b"HTTP/1.1 600 No", "600"),
    _line(b"HTTP/1.1 099 No", "000 exit 1"),
    _line(b"HTTP/1.1 42 No", "000 exit 1"),
    _line(b"HTTP/1.1 2000 No", "000 exit 1"),
    _line(b"HTTP/1.1 20x No", "000 exit 1"),
    _line(b"HTTP/1.1 OK", "000 exit 1"),
    _line(b"HTTP/1.1 -200 OK", "000 exit 1"),
    _line(b"HTTP/1.1 200", "200"),
    _line(b"HTTP/1.1 200 \xc3\x9cber", "200"),
    _line(b"HTTP/1.1  200 OK", "200"),
    _line(b"HTTP/1.1\t200\tOK", "000 exit 1"),
    _line(b"HTTP/1.1 200OK", "200"),
    _line(b"http/1.1 200 OK", "200"),
    Odd(
        "the status line b'HTTP/1.2 200 OK'",
        b"HTTP/1.2 200 OK\r\n" + TWO + b"\r\nok",
        "000 exit 1",
        200,
        because="a higher minor version is read as the highest that is known (RFC 9110 §2.5)",
    ),
    _line(b"HTTP/1.10 200 OK", "000 exit 1"),
    _line(b"HTTP/1 200 OK", "000 exit 1"),
    _line(b"HTTP/2 200", "200"),
    _line(b"HTTP/2.0 200 OK", "200"),
    _line(b"HTTP/3.0 200 OK", "000 exit 1"),
    _line(b"HTTP/0.9 200 OK", "000 exit 1"),
    _line(b"ICY 200 OK", "000 exit 1"),
    _line(b" HTTP/1.1 200 OK", "000 exit 1"),
    _line(b"junk\r\nHTTP/1.1 200 OK", "000 exit 1"),
    _line(b"\xef\xbb\xbfHTTP/1.1 200 OK", "000 exit 1"),
    Odd(
        "an empty line first",
        b"\r\n" + OK + TWO + b"\r\nok",
        "000 exit 1",
        200,
        because="it says nothing, and the parser has always let it pass",
    ),
    Odd("HTTP/0.9", b"<html>ok</html>", "000 exit 1", 0),
    Odd("more than an answer", OK + TWO + b"\r\nok and more", "200", 200),
    Odd("204 with a body", b"HTTP/1.1 204 No\r\n" + TWO + b"\r\nok", "204", 204),
    Odd(
        "no end of the head",
        OK + TWO,
        "200 exit 18",
        0,
        because="the status decides once the headers are complete; it is sent again, and so not lost",
    ),
    Odd(
        "101",
        b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "101 exit 52",
        0,
        because="nobody asked for another protocol",
    ),
)


def verdict_of_curl(wire: bytes) -> str:
    """The verdict of this machine's curl on an answer to a POST, in the form of `Odd.curl`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer, args=(listener, wire))
        thread.start()
        port = listener.getsockname()[1]
        asked = ["curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", "-d", "body"]
        done = subprocess.run(
            [*asked, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False
        )
        thread.join()
    return done.stdout + (f" exit {done.returncode}" if done.returncode else "")


def _answer(listener: socket.socket, wire: bytes) -> None:
    peer, _ = listener.accept()
    with peer:
        received = b""
        while not received.endswith(b"\r\n\r\nbody"):
            received += peer.recv(4096)
        peer.sendall(wire)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass


def main() -> None:
    for odd in ODD_ANSWERS:
        verdict = verdict_of_curl(odd.wire)
        if verdict != odd.curl:
            print(f"{odd.name}: recorded {odd.curl}, now {verdict}")


if __name__ == "__main__":
    main()
