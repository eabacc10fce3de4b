"""Devices are shown with their reports, their endpoints, and the reason if their readings get nowhere."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from forwarder.api import requests as forms
from forwarder.api import resources
from forwarder.operator import Status
from forwarder.units import age
from forwarder.web.page.frame import Asked, Shown, View, framed
from forwarder.web.page.sentences import Level, Said

SHOWN = 100
_COMMANDS = {"": "", "silent": " --silent", "unrouted": " --unrouted"}


def devices(asked: Asked) -> Shown:
    """The devices by name: all, the silent ones, or those that no endpoint wants."""
    only = asked.query.get("only", "")
    query = forms.DeviceList(
        silent=only == "silent",
        unrouted=only == "unrouted",
        limit=SHOWN,
        cursor=asked.query.get("cursor") or None,
    )
    found = asked.of(resources.devices.listed, query=query)
    onwards = {"only": only, "cursor": found.get("next")}
    return framed(
        "devices.html",
        asked,
        title="Devices",
        typed=f"forwarder devices{_COMMANDS.get(only, '')}",
        only=only,
        rows=[{**one, **_judged(one)} for one in found["items"]],
        next=f"/devices?{urlencode(onwards)}" if "next" in found else None,
    )


def _judged(one: Mapping[str, Any]) -> dict[str, object]:
    level, word = _state(one)
    seconds = one["age_seconds"]
    return {
        "level": level,
        "word": word,
        "age": "never" if seconds is None else f"{age(seconds)} ago",
    }


def _state(one: Mapping[str, Any]) -> tuple[Level, str]:
    if one["silent_since"]:
        return "trouble", "silent"
    if not one["endpoints"]:
        return "warning", "unrouted"
    if one["last_reading_at"] is None:
        return "rest", "never heard"
    return "well", "reporting"


def device(asked: Asked) -> Shown:
    """Everything about one device."""
    found = asked.of(resources.devices.one, device=asked.path["device"])
    status = asked.standing().status
    level, word = _state(found)
    return framed(
        "device.html",
        asked,
        title=found["device"],
        typed=f"forwarder devices {found['device']}",
        one=found,
        level=level,
        word=word,
        why=said_of(found, status).text,
        last={each["endpoint"]: each for each in found["last_reading"]},
    )


def said_of(found: Mapping[str, Any], status: Status) -> Said:
    """One sentence on whether a device's readings get anywhere, and if not, why."""
    names = found["endpoints"] or []
    if found["last_reading_at"] is None and found["quarantined"]:
        return Said(
            "trouble",
            "Its messages come in, but none of them could be understood: see its quarantine.",
        )
    if found["last_reading_at"] is None:
        return Said("warning", "It was never heard of: nothing has come in from it.")
    if not names:
        return Said(
            "warning", "Nobody gets its readings, because no endpoint of the routing file names it."
        )
    if found["silent_since"]:
        return Said(
            "trouble", "It has stopped reporting: nothing has come in for longer than usual."
        )
    held = [
        name
        for name in names
        if name in status.endpoints and status.endpoints[name].state != "closed"
    ]
    takes = f"{_and(held)} {'takes' if len(held) == 1 else 'take'}"
    if len(held) == len(names):
        return Said("trouble", f"Its readings come in and wait, because {takes} none now.")
    if held:
        return Said("warning", f"It reports; {takes} nothing now, the others do.")
    return Said("well", "It reports, and its readings go out.")


def _and(names: list[str]) -> str:
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


VIEWS: Mapping[str, View] = {"/devices": devices, "/devices/{device:path}": device}
