"""What is owed: numbered readings, and which of them the broker has taken."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

FIRST_MEASURED = 1763461060
"""UNIX seconds of reading 0; each reading is a second after the one before."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One reading as its device publishes it, and what a receiver must see of it."""

    number: int
    device: str
    padding: str = ""

    @property
    def topic(self) -> str:
        return f"ext/partner/{self.device}"

    @property
    def payload(self) -> bytes:
        content = {
            "sys.id": self.device,
            "timestamp": FIRST_MEASURED + self.number,
            "1_7_0": self.active_power_import_kw,
            "number": self.number,
            "padding": self.padding,
        }
        return json.dumps(content).encode()

    @property
    def active_power_import_kw(self) -> float:
        return self.number / 1000

    @property
    def measured_at(self) -> str:
        instant = datetime.fromtimestamp(FIRST_MEASURED + self.number, UTC)
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Oracle:
    """Issues readings, the devices in turn; a PUBACK makes an obligation of each."""

    size: int = 8
    quiet: set[str] = field(default_factory=set)
    """Devices that send nothing now."""
    issued: dict[int, Issued] = field(default_factory=dict)
    owed: set[int] = field(default_factory=set)

    @property
    def devices(self) -> list[str]:
        return [f"ECC9FF{index:06X}" for index in range(1, self.size + 1)]

    def issue(self, *, padding: str = "") -> Issued:
        number = len(self.issued) + 1
        speaking = [device for device in self.devices if device not in self.quiet]
        reading = Issued(number, speaking[number % len(speaking)], padding)
        self.issued[number] = reading
        return reading

    def take(self, number: int) -> None:
        """The broker has acknowledged it: from now on it is owed to every endpoint."""
        self.owed.add(number)
