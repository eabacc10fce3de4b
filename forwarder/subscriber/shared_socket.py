"""The socket of one connection, shared: the driver reads and writes it, and paho sees what the driver leaves to it."""

import os
import select
import socket
import ssl

_CHUNK_BYTES = 65_536
_RECORD_BYTES = 16_384
"""The most that TLS decrypts at once (RFC 8446 §5.1)."""
_HAS_CLOSED = getattr(select, "POLLRDHUP", 0)
"""Asks poll for the end of the stream even if bytes stand before it. Only Linux has it."""


class SharedSocket:
    """
    Owns `sock`, and is taken by paho for the socket itself (`recv`, `send`, `close`, `fileno`, `setblocking`).

    paho reads the packets that `leave_to_paho` gave it, and then how the connection ended. Both sides write through one
    queue, so that no packet begins inside another when the kernel takes only part of one.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._for_paho = bytearray()
        self._unsent = bytearray()
        self.read_waits_for_write = False
        """Whether TLS must write before more can be read."""
        self._write_waits_for_read = False
        self.is_leaving = False
        """Set when nothing is read any more. paho's `close` then leaves the connection open until `hang_up`."""
        self._failure: OSError | None = None
        self._is_over = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come. paho's next read says why."""
        return self._is_over or self._failure is not None

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    @property
    def wants_to_write(self) -> bool:
        """Whether anything waits for the socket to become writable."""
        return self.read_waits_for_write or (
            bool(self._unsent) and not self._write_waits_for_read and not self.has_ended
        )

    def receive(self) -> bytes:
        """The bytes that have come in, up to about 64 KiB; empty when there are none now, or never will be."""
        chunk = self._read(_CHUNK_BYTES)
        if self._tls is None or not chunk:
            return chunk
        records, size = [chunk], len(chunk)
        # TLS may hold more than it gave out. We read that now, because the loop would not announce it.
        while (size < _CHUNK_BYTES or self._tls.pending()) and (
            record := self._read(_RECORD_BYTES)
        ):
            records.append(record)
            size += len(record)
        return b"".join(records)

    def _read(self, size: int) -> bytes:
        self.read_waits_for_write = self._write_waits_for_read = False
        chunk = b""
        try:
            chunk = self._sock.recv(size)
            self._is_over = not chunk
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            self.read_waits_for_write = True
        except OSError as error:
            self._failure = error
        return chunk

    def notice_end(self) -> bool:
        """Whether the connection is over, as far as the kernel tells without a read."""
        looking = select.poll()
        looking.register(self._sock, _HAS_CLOSED)
        self._is_over = self._is_over or bool(looking.poll(0))
        return self.has_ended

    def discard(self) -> bool:
        """Drop the bytes that have come in, undecrypted. Returns whether the stream has ended."""
        try:
            return not os.read(self.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def write(self, packets: bytes | bytearray) -> None:
        """Send whole packets behind earlier ones. The part that the kernel does not take waits for `flush`."""
        self._unsent += packets
        self.flush()

    def flush(self) -> None:
        """Send the queue, as far as the kernel takes it."""
        self._write_waits_for_read = False
        try:
            while self._unsent:
                # TLS wants the same bytes again after a write that failed, so they stay at the front until it succeeds.
                del self._unsent[: self._sock.send(self._unsent)]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLWantReadError:
            self._write_waits_for_read = True
        except OSError as error:
            self._failure = self._failure or error

    def leave_to_paho(self, packet: bytes) -> None:
        """Give `packet` to paho's next read."""
        self._for_paho += packet

    @property
    def has_left_for_paho(self) -> bool:
        return bool(self._for_paho)

    def recv(self, size: int) -> bytes:
        if self._for_paho:
            part = bytes(self._for_paho[:size])
            del self._for_paho[:size]
            return part
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            return b""
        raise BlockingIOError

    def send(self, packet: bytes | bytearray) -> int:
        """Send the whole packet, or nothing while the queue waits, because paho closes right after its DISCONNECT."""
        self.flush()
        if self._unsent:
            raise BlockingIOError
        self.write(packet)
        return len(packet)

    def close(self) -> None:
        if not self.is_leaving:
            self._sock.close()

    def hang_up(self) -> None:
        """Close the connection for good."""
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature is paho's
        self._sock.setblocking(flag)
