"""The search box: words in any order, and what each means."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.reading import Device
from forwarder.web.page.deliveries import command_of
from forwarder.web.page.search import Search, parse_search, zone_of

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2025, 11, 18, 12, 0, tzinfo=ZURICH).timestamp()
MINUTE = datetime(2025, 11, 18, 10, 17, tzinfo=ZURICH).timestamp()
ENDPOINTS = ("acme", "home")
MEANINGS = [
    ("", Search(), "nothing narrows"),
    ("acme", Search(endpoint="acme"), "an endpoint that there is"),
    ("endpoint:gone", Search(endpoint="gone"), "named, it may be one that was removed"),
    ("ec:c9:ff:5c:7a:d4", Search(device=Device("ECC9FF5C7AD4")), "a MAC in any spelling"),
    ('device:"the cellar"', Search(device=Device("the cellar")), "a device with a name of its own"),
    ("dead", Search(state="dead"), "a state"),
    ("msg_846a", Search(id="msg_846a"), "the beginning of an id"),
    ("10:17", Search(since=MINUTE, until=MINUTE + 60), "a minute"),
    ("10:17:05", Search(since=MINUTE + 5, until=MINUTE + 6), "a second"),
    ("12:30", Search(since=NOW - 84600, until=NOW - 84540), "the last time that it was so late"),
    ("2h", Search(since=NOW - 7200), "a time until now"),
    ("2025-11-18T10:17", Search(since=MINUTE, until=MINUTE + 60), "local where no zone is given"),
    ("2025-11-18T09:17Z", Search(since=MINUTE, until=MINUTE + 60), "its own zone"),
    ("2025-11-18", Search(since=NOW - 43200, until=NOW + 43200), "a day"),
    ("since:2h until:10:17", Search(since=NOW - 7200, until=MINUTE), "from, and until"),
    ("acme 10:17 ECC9FF5C7AD4", Search("acme", Device("ECC9FF5C7AD4"), None, MINUTE, MINUTE + 60), "all"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant", "why"), MEANINGS)
def test_words_mean_what_they_look_like(text: str, meant: Search, why: str) -> None:
    """Each word says by its form what it is."""
    assert parse_search(text, endpoints=ENDPOINTS, zone=ZURICH, now=NOW) == meant, why


@pytest.mark.parametrize("text", ["acne", "state:lost", "since:soon", "endpoint:", "25:00"])
def test_a_word_that_says_nothing_is_told(text: str) -> None:
    """Nothing is looked for by half of what was meant."""
    (problem,) = parse_search(text, endpoints=ENDPOINTS, zone=ZURICH, now=NOW).problems
    assert text.partition(":")[2] in problem


@given(st.text(max_size=80))
def test_any_text_is_understood_or_told(text: str) -> None:
    """Nothing that somebody types breaks the box, and the command is one line."""
    search = parse_search(text, endpoints=ENDPOINTS, zone=ZURICH, now=NOW)
    assert text.strip() == "" or search != Search()
    assert command_of(search).startswith("forwarder deliveries ")


@pytest.mark.parametrize("name", [None, "", "Nowhere/Land", "../etc/passwd", "/etc/passwd", "\0"])
def test_a_zone_that_is_none_is_utc(name: str | None) -> None:
    assert zone_of(name) == ZoneInfo("UTC")
