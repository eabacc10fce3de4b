"""Lists of devices, in the routing file itself and in files of their own."""

from collections.abc import Container
from pathlib import Path

from forwarder.reading import Device, parse_mac
from forwarder.routes.document import Node, Scalar, Sequence
from forwarder.routes.problems import Problems, shown

_EXPECTED = "expected a MAC of 12 hexadecimal digits such as ECC9FF5C7AD4"


def read_list(
    items: Sequence, *, owner: str, problems: Problems, groups: Container[str] = ()
) -> frozenset[Device]:
    """
    The devices of a YAML list. An item that is no MAC becomes a problem, and so does a device that is listed twice.

    If `groups` holds the item as a name, the problem says where groups stand.
    """
    first: dict[Device, Node] = {}
    for item in items.items:
        device = parse_mac(item.text) if isinstance(item, Scalar) else None
        if device is None:
            text = f"{owner}: {_not_a_device(item, groups)}"
            problems.add(text, line=item.line, column=item.column)
        elif device in first:
            before = first[device]
            text = f"{owner}: device {device} is listed twice, first at line {before.line}, column {before.column}"
            problems.add(text, line=item.line, column=item.column)
        else:
            first[device] = item
    return frozenset(first)


def read_lines(text: str, *, file: Path, problems: Problems) -> frozenset[Device]:
    """The devices of a file, one a line. `#` begins a comment, and empty lines do not count."""
    first: dict[Device, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        device = parse_mac(word)
        if device is not None and device not in first:
            first[device] = number
        elif word:
            _complain(word, device, first, line=number, file=file, problems=problems)
    return frozenset(first)


def _complain(
    word: str,
    device: Device | None,
    first: dict[Device, int],
    *,
    line: int,
    file: Path,
    problems: Problems,
) -> None:
    if device is None:
        # The text is never told, because a mistyped path may lead to a file of passwords.
        text = f"{len(word):,} characters that are no device: {_EXPECTED}, one a line"
    else:
        text = f"this device is listed twice, first at line {first[device]}"
    problems.add(text, line=line, column=1, file=file)


def _not_a_device(item: Node, groups: Container[str]) -> str:
    if not isinstance(item, Scalar):
        return f"a device is one text; {_EXPECTED}"
    if item.text == "*":
        return '"*" already means every device; keep it alone, or keep the others'
    if item.text in groups:
        return group_among_devices(item.text)
    return f"{shown(item.text)} is not a device: {_EXPECTED}"


def group_among_devices(name: str) -> str:
    """The advice for the name of a group that stands among devices."""
    return f"{shown(name)} is a group, and stands in groups: [{name}]"
