"""
A publisher that is never the bottleneck: packets encoded beforehand, one connection, QoS 1, nothing imported.

    publisher.py PORT SENT ARRIVED --devices N (--rate R | --ahead N) (--seconds S | --count N)

With --rate it publishes at that pace, whatever happens; with --ahead as fast as it can, but never more than N
ahead of what has arrived or was superseded, so that no queue grows without bound. Ends when the broker has
acknowledged everything.
"""

import argparse
import selectors
import socket
import struct
import sys
import time
from pathlib import Path

from ledger import FIRST_SERIAL, Ledger

PAYLOAD = (
    b'{"serial":%09d,"P_In":1.036,"P_Out":0,"P_P1_In":0.512,"P_P2_In":0.301,"P_P3_In":0.223,"P_P1_Out":0,'
    b'"P_P2_Out":0,"P_P3_Out":0,"PF":0.98,"I_P1":2.2,"I_P2":1.3,"I_P3":0.9,"V_P1":230.1,"V_P2":229.8,'
    b'"V_P3":230.4,"E_In":47.251,"E_In_T1":33.388,"E_In_T2":14.668,"E_Out":8.965,"E_Out_T1":7.868,'
    b'"E_Out_T2":1.097,"rE_In":0.5,"rE_Out":0.25,"T":1,"Date":"2025-11-18","Time":"14:34:00","Uptime":71.05}'
)
DATE, CLOCK = b"2025-11-18", b"14:34:00"
"""Where the payload's date and time stand: a device says what time it is."""
MOST_UNACKNOWLEDGED = 2000
LARGEST_BURST = 100
SMALLEST_BURST = 20


def device(index: int) -> str:
    return f"ECC9FF{index:06X}"


def topic(index: int) -> str:
    return f"ext/partner/{device(index)}"


def template(index: int) -> bytes:
    """A PUBLISH of this device, with places for packet id and serial."""
    name = topic(index).encode()
    rest = struct.pack("!H", len(name)) + name + b"\0\0" + PAYLOAD % FIRST_SERIAL
    return b"\x32" + bytes([len(rest) & 0x7F | 0x80, len(rest) >> 7]) + rest


class Publisher:
    """One MQTT 3.1.1 connection that only publishes."""

    def __init__(self, port: int, *, devices: int, sent: Ledger) -> None:
        self._sent = sent
        self._templates = [bytearray(template(index)) for index in range(devices)]
        packet = self._templates[0]
        self._id_at = packet.index(b"\0\0{")
        self._serial_at = packet.index(b"%d" % FIRST_SERIAL)
        self._date_at, self._clock_at = packet.index(DATE), packet.index(CLOCK)
        self._left = b""
        self.published = self._sent.words[2]
        self._base = self._sent.count - self.published
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connect()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)

    def _connect(self) -> None:
        client_id = b"bench-publisher"
        body = b"\0\4MQTT\4\2\0\0" + struct.pack("!H", len(client_id)) + client_id
        self._socket.sendall(b"\x10" + bytes([len(body)]) + body)
        if self._socket.recv(4) != b"\x20\2\0\0":
            raise SystemExit("the broker does not let the publisher in")

    @property
    def unacknowledged(self) -> int:
        return self.published - self._sent.count

    def publish(self, count: int) -> None:
        """Send so many at once."""
        packets = bytearray()
        times, now = self._sent.times, time.monotonic_ns()
        date, clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()).encode().split()
        for serial in range(self.published, self.published + count):
            packet = self._templates[serial % len(self._templates)]
            struct.pack_into("!H", packet, self._id_at, serial % 65535 + 1)
            at = self._serial_at
            packet[at : at + 9] = b"%d" % (FIRST_SERIAL + serial)
            packet[self._date_at : self._date_at + 10] = date
            packet[self._clock_at : self._clock_at + 8] = clock
            packets += packet
            times[serial] = now
        self.published += count
        self._sent.words[2] = self.published
        self._socket.sendall(packets)

    def read(self, seconds: float) -> None:
        """Count the PUBACKs that come within this time; returns with the first."""
        if not self._selector.select(seconds):
            return
        data = self._left + self._socket.recv(65536)
        whole = len(data) // 4
        self._left = data[4 * whole :]
        self._sent.words[0] += whole


def run_ahead(
    publisher: Publisher, arrived: Ledger, *, ahead: int, until: float, last: int
) -> None:
    while time.monotonic() < until and publisher.published < last:
        room = min(
            ahead - (publisher.published - arrived.settled),
            MOST_UNACKNOWLEDGED - publisher.unacknowledged,
            LARGEST_BURST,
            last - publisher.published,
        )
        is_worth_it = room >= min(SMALLEST_BURST, ahead, last - publisher.published)
        if is_worth_it:
            publisher.publish(room)
        publisher.read(0 if is_worth_it else 0.0005)


def run_at_rate(publisher: Publisher, *, rate: float, until: float, last: int) -> None:
    started, first = time.monotonic(), publisher.published
    while (now := time.monotonic()) < until and publisher.published < last:
        due = min(int((now - started) * rate) + 1 - (publisher.published - first), LARGEST_BURST)
        if due > 0:
            publisher.publish(due)
        next_at = started + (publisher.published - first) / rate
        publisher.read(max(0.0, next_at - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("sent", type=Path)
    parser.add_argument("arrived", type=Path)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--ahead", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    options = parser.parse_args()
    publisher = Publisher(options.port, devices=options.devices, sent=Ledger(options.sent))
    until = time.monotonic() + options.seconds
    last = publisher.published + options.count
    if options.rate:
        run_at_rate(publisher, rate=options.rate, until=until, last=last)
    else:
        arrived = Ledger(options.arrived)
        run_ahead(publisher, arrived, ahead=options.ahead, until=until, last=last)
    while publisher.unacknowledged:
        publisher.read(1.0)


if __name__ == "__main__":
    main()
