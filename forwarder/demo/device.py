"""A simulated whatwatt Go: a MAC, a house behind its meter, and a payload in one of the known shapes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from forwarder.demo.house import House
from forwarder.demo.template import Value
from forwarder.reading import Device

Payload = Callable[["SimulatedDevice"], str]
"""Writes a device's present state."""

_OUI = "ECC9FF"
_DEVICE_DEFAULT_ZONE = "Europe/Zurich"


def device_at(index: int) -> Device:
    """The MAC of the simulated device number `index`, from 0. It is the same at each run."""
    return Device(f"{_OUI}{(0x5C0000 + index * 0x9E3 + 0x1A) & 0xFFFFFF:06X}")


class SimulatedDevice:
    """Device number `index`, from 0. `report_at` has what it publishes at an instant."""

    def __init__(self, index: int, payload: Payload, *, zone: str = _DEVICE_DEFAULT_ZONE) -> None:
        self.device = device_at(index)
        self.name = f"whatwatt {index + 1}"
        self.house = House(index)
        self.reports = 0
        self.seconds_since_boot = 3600.0 + 977 * index
        self.boot_id = f"{(0x7CDC08FD + index * 7919) & 0xFFFFFFFF:08X}"
        self.interval_seconds = 0.0
        self.now = datetime.fromtimestamp(0, UTC)
        self._payload = payload
        self._zone = ZoneInfo(zone)

    def report_at(self, now: datetime) -> bytes:
        """The payload at `now`, an aware UTC instant. Call it in the order of time."""
        if self.reports:
            self.interval_seconds = round(max((now - self.now) / timedelta(seconds=1), 0.0), 3)
        self.seconds_since_boot += self.interval_seconds
        self.reports += 1
        self.now = now
        self.house.advance(self.local)
        return self._payload(self).encode()

    @property
    def local(self) -> datetime:
        """The present in the device's zone, whole seconds as the device counts them."""
        return self.now.astimezone(self._zone).replace(microsecond=0)

    def variables(self) -> dict[str, Value]:
        """Every variable that this device can put in a template now."""
        return self.house.readings() | self._identity() | self._times()

    def _identity(self) -> dict[str, Value]:
        return {
            "meter.id": f"LGZ10307848{self.device[-4:]}",
            "meter.type": "E450",
            "meter.vendor": "Landis+Gyr",
            "meter.interface": "MBUS",
            "meter.protocol": "DLMS",
            "meter.status": "OK",
            "sys.id": self.device,
            "sys.name": self.name,
            "sys.firmware": "1.2.15",
            "wifi.mode": "sta",
            "wifi.sta.status": "ok",
            "wifi.sta.rssi": -48,
            "wifi.sta.channel": 6,
            "wifi.sta.mac": self.device,
            "plug.interface": "MBUS",
        }

    def _times(self) -> dict[str, Value]:
        local = self.local
        utc = f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        # Devices write their local time with a Z. That is wrong, and receivers have to live with it.
        local_with_z = f"{local:%Y-%m-%dT%H:%M:%SZ}"
        times: dict[str, Value] = {"timestamp": int(local.timestamp())}
        for clock in ("meter", "sys"):
            times[f"{clock}.date_time"] = local_with_z
            times[f"{clock}.date_time_local"] = local.isoformat()
            times[f"{clock}.date_time_utc"] = utc
        return times
