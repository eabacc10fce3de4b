"""`forwarder devices` shows each device's last report, its usual interval and its endpoints."""

import time
from collections.abc import Mapping, Sequence

import click

from forwarder.cli.names import heard_device_names
from forwarder.cli.options import MOST_LISTED, all_option, as_json_option
from forwarder.cli.tables import (
    DEVICE,
    LEAVES_LAST,
    PROSE,
    STAYS,
    cell,
    console,
    leaves,
    number,
    print_json,
    print_json_list,
    print_listed,
    print_pairs,
    table,
)
from forwarder.errors import ConfigurationError
from forwarder.operator import (
    DeviceStatus,
    look_at_routes,
    parse_device,
    read_device_file,
    read_devices,
    require_device,
)
from forwarder.operator.objects import device_file_object, device_object, instant
from forwarder.outbox import DeliveryRecord, Quarantined, opened
from forwarder.reading import Device
from forwarder.routes import Routes
from forwarder.settings import Settings, load_settings
from forwarder.terminal import plain
from forwarder.units import age, count_of, format_duration


@click.command("devices", short_help="When each device last reported, and who gets it")
@click.argument(
    "device_text", metavar="[DEVICE]", required=False, shell_complete=heard_device_names
)
@click.option("--silent", is_flag=True, help="Those that should have reported by now.")
@click.option("--unrouted", is_flag=True, help="Those that no endpoint wants.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many, by name.")
@all_option
@as_json_option
def command(
    device_text: str | None,
    *,
    silent: bool,
    unrouted: bool,
    limit: int | None,
    all_of_them: bool,
    as_json: bool,
) -> None:
    """
    List the devices: last reading, its age, usual interval, who gets them. With DEVICE, everything about that one.

    Devices are those that were heard of and those that the routing file names.
    """
    settings = load_settings()
    if device_text is not None:
        if silent or unrouted or limit or all_of_them:
            raise ConfigurationError("DEVICE is one device: leave the filters away")
        _show(settings, parse_device(device_text), as_json=as_json)
        return
    now = time.time()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        devices = read_devices(outbox, _routes(settings))
    chosen = [
        one
        for one in devices
        if (one.silent_since is not None or not silent) and (one.is_unrouted or not unrouted)
    ]
    if as_json:
        print_json_list(device_object(one, now) for one in chosen[:limit])
    else:
        most = len(chosen) if all_of_them else limit or MOST_LISTED
        what = " ".join([*["silent"] * silent, *["unrouted"] * unrouted, "device"])
        _print_table(chosen, what=what, most=most, now=now)


def _routes(settings: Settings) -> Routes | None:
    """The routes. None, and a word on stderr, when the file cannot be used, because devices are worth seeing still."""
    load = look_at_routes(settings.routes_file)
    if load.routes is None:
        click.echo(
            f"{plain(load.problems[0])}; until that is put right, who gets a device is not known",
            err=True,
        )
    return load.routes


def _print_table(devices: Sequence[DeviceStatus], *, what: str, most: int, now: float) -> None:
    rows = table(
        device=DEVICE, last_reading=STAYS, every=number(leaves=2), state=LEAVES_LAST,
        quarantined=number(leaves=1), who_gets_it=PROSE,
    )  # fmt: skip
    for one in devices[:most]:
        rows.add_row(
            cell(one.device),
            cell(_last_reading(one, now)),
            cell(_interval(one)),
            cell(*_state(one)),
            cell(one.quarantined or None),
            cell(_recipients(one)),
        )
    print_listed(rows, count=len(devices), what=what)
    if noticed := _summary(devices):
        click.echo(noticed)


def _summary(devices: Sequence[DeviceStatus]) -> str:
    counts = {
        "silent": sum(one.silent_since is not None for one in devices),
        "unrouted": sum(one.is_unrouted for one in devices),
        "never heard of": sum(one.record is None and not one.quarantined for one in devices),
    }
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    return f"{count_of(len(devices), 'device')}: {said}" if said else ""


def _last_reading(one: DeviceStatus, now: float) -> str:
    return "never" if one.last_at is None else f"{age(now - one.last_at)} ago"


def _interval(one: DeviceStatus) -> str | None:
    return None if one.usual_interval is None else format_duration(one.usual_interval)


def _state(one: DeviceStatus) -> tuple[str, str]:
    if one.silent_since is not None:
        return "silent", "red"
    if one.is_unrouted:
        return "unrouted", "yellow"
    return "", ""


def _recipients(one: DeviceStatus) -> str:
    if one.endpoints is None:
        return "?"
    return ", ".join(one.endpoints) or "nobody"


def _show(settings: Settings, device: Device, *, as_json: bool) -> None:
    now = time.time()
    with opened(settings.outbox_place, is_read_only=True) as outbox:
        require_device(outbox, device, settings.routes_file)
        found = read_device_file(outbox, device, _routes(settings))
    if as_json:
        print_json(device_file_object(found, now))
        return
    one = found.status
    print_pairs(_facts(one, now))
    _print_recipients(one, found.because, found.deliveries)
    _print_quarantined(one, found.messages, now)


def _facts(one: DeviceStatus, now: float) -> list[tuple[str, object]]:
    record = one.record
    if record is None:
        return [("device", one.device), ("last reading", "never")]
    return [
        ("device", one.device),
        ("last reading", _since(record.last_at, now) or "never"),
        ("measured", record.measured_at),
        ("usual interval", _interval(one)),
        ("silent since", _since(one.silent_since, now)),
        ("first heard of", instant(record.first_at)),
        ("last unreadable message", _since(record.unreadable_at, now)),
    ]


def _since(at: float | None, now: float) -> str | None:
    return None if at is None else f"{instant(at)}, {age(now - at)} ago"


def _print_recipients(
    one: DeviceStatus, because: Mapping[str, tuple[str, ...]], deliveries: Sequence[DeliveryRecord]
) -> None:
    if one.endpoints is None:
        return
    if not one.endpoints:
        click.echo("\nnobody gets it")
        return
    console().print("\nWho gets it", style="bold")
    last = {each.endpoint: each for each in deliveries}
    rows = table(endpoint=STAYS, because_of=PROSE, last_reading=STAYS, id=leaves(1))
    for name in one.endpoints:
        each = last.get(name)
        rows.add_row(
            cell(name),
            cell(", ".join(because[name])),
            cell(each.state if each else None),
            cell(each.webhook_id if each else None),
        )
    console().print(rows)


def _print_quarantined(one: DeviceStatus, messages: Sequence[Quarantined], now: float) -> None:
    if not messages:
        return
    console().print("\nIn quarantine", style="bold")
    rows = table(id=STAYS, reason=STAYS, came_in=number(leaves=1), what_was_wrong=PROSE)
    for message in messages:
        rows.add_row(
            cell(message.id),
            cell(message.reason),
            cell(f"{age(now - message.received_at)} ago"),
            cell(message.detail),
        )
    console().print(rows)
    if one.quarantined > len(messages):
        click.echo(
            f"the newest {len(messages)} of {one.quarantined:,}; forwarder quarantine list --device shows all"
        )
