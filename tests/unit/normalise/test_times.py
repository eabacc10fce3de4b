from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs
from support.payloads import RECEIVED_AT, message, normaliser, read

from forwarder.normalise.times import TextKind, instant_of_text
from forwarder.reading import rfc3339

UTC_TIME = '"meter.date_time_utc":"2025-11-18T10:00:02Z"'
OFFSET_TIME = '"meter.date_time_local":"2025-11-18T11:00:03+01:00"'
LOCAL_TIME = '"meter.date_time":"2025-11-18T11:00:04Z"'
DEVICE_TIME = '"sys.date_time_utc":"2025-11-18T10:00:05Z"'


def timed(*members: str, received_at: datetime = RECEIVED_AT) -> tuple[str, str]:
    reading = read("{" + ",".join(['"P_In":1', *members]) + "}", received_at=received_at)
    return rfc3339(reading.measured_at), reading.time_source


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param(
            ['"timestamp":1763460001', UTC_TIME, OFFSET_TIME, LOCAL_TIME],
            ("2025-11-18T10:00:01Z", "timestamp"),
            id="a timestamp is the surest",
        ),
        pytest.param(
            [LOCAL_TIME, OFFSET_TIME, UTC_TIME], ("2025-11-18T10:00:02Z", "utc"), id="then utc"
        ),
        pytest.param([LOCAL_TIME, OFFSET_TIME], ("2025-11-18T10:00:03Z", "offset"), id="an offset"),
        pytest.param(
            [LOCAL_TIME], ("2025-11-18T10:00:04Z", "local"), id="local although it has a Z"
        ),
        pytest.param(
            [DEVICE_TIME, LOCAL_TIME],
            ("2025-11-18T10:00:04Z", "local"),
            id="the report's time before that of publishing",
        ),
        pytest.param([DEVICE_TIME], ("2025-11-18T10:00:05Z", "utc"), id="the device's own time"),
        pytest.param([], ("2025-11-18T10:17:41.203Z", "received"), id="no time at all"),
    ],
)
def test_the_surest_time_is_taken(members: list[str], expected: tuple[str, str]) -> None:
    """timestamp, utc, offset, local, received: the first that the payload has."""
    assert timed(*members) == expected


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        pytest.param(
            '"timestamp":"1763460001"', ("2025-11-18T10:00:01Z", "timestamp"), id="quoted"
        ),
        pytest.param(
            '"time":1763460001.25', ("2025-11-18T10:00:01.250Z", "timestamp"), id="a fraction"
        ),
        pytest.param(
            '"meter.date_time":"2025-07-01T12:00:00Z"',
            ("2025-07-01T10:00:00Z", "local"),
            id="summer",
        ),
        pytest.param(
            '"meter.date_time":"2025-07-01T12:00:00"', ("2025-07-01T10:00:00Z", "local"), id="no Z"
        ),
        pytest.param(
            '"meter.date_time":"2025-07-01 12:00:00"',
            ("2025-07-01T10:00:00Z", "local"),
            id="a space",
        ),
        pytest.param(
            '"meter.date_time":"2025-07-01T12:00:00+05:30"',
            ("2025-07-01T06:30:00Z", "offset"),
            id="an offset in digits is believed anywhere",
        ),
        pytest.param(
            '"meter.date_time_local":"2025-07-01T12:00:00"',
            ("2025-07-01T10:00:00Z", "local"),
            id="a local time that lacks its offset",
        ),
        pytest.param(
            '"meter.date_time_utc":"2025-07-01T12:00:00"',
            ("2025-07-01T12:00:00Z", "utc"),
            id="utc, no Z",
        ),
        pytest.param(
            '"Date":"2025-07-01","Time":"12:00:00"',
            ("2025-07-01T10:00:00Z", "local"),
            id="two fields",
        ),
    ],
)
def test_forms_of_times(member: str, expected: tuple[str, str]) -> None:
    """Every documented form gives its instant."""
    assert timed(member) == expected


@pytest.mark.parametrize(
    "member",
    [
        pytest.param('"meter.date_time":"2025-07-01"', id="a date alone is no instant"),
        pytest.param('"meter.date_time":"20250701"', id="nor in digits"),
        pytest.param('"Date":"2025-07-01"', id="nor in a field of its own"),
        pytest.param('"Time":"12:00:00"', id="a time alone neither"),
        pytest.param('"Date":"2025-07-01","Time":"nonsense"', id="two fields, one nonsense"),
        pytest.param('"timestamp":0', id="a clock that was never set"),
        pytest.param('"timestamp":-1', id="before 1970"),
        pytest.param('"timestamp":1763460001000', id="milliseconds would be the year 57850"),
        pytest.param('"timestamp":99999999999999999999', id="beyond any calendar"),
        pytest.param('"timestamp":1e300', id="far beyond"),
        pytest.param('"timestamp":"soon"', id="no number"),
        pytest.param('"meter.date_time_utc":"0000-00-00T00:00:00Z"', id="year 0"),
        pytest.param('"meter.date_time_utc":"1970-01-01T00:00:10Z"', id="an unset clock"),
        pytest.param('"meter.date_time_utc":"2000-12-31T23:59:59Z"', id="that of a meter"),
        pytest.param('"meter.date_time":"2000-01-01T00:30:00Z"', id="in local time"),
        pytest.param('"meter.date_time":"2001-01-01T00:30:00"', id="in UTC still in 2000"),
        pytest.param('"meter.date_time_local":"2099-12-31T23:30:00-02:00"', id="in UTC 2100"),
        pytest.param('"timestamp":946684800', id="as a timestamp"),
        pytest.param('"meter.date_time_utc":"0001-01-01T00:00:00+14:00"', id="before the calendar"),
        pytest.param('"meter.date_time_utc":"9999-12-31T23:59:59-14:00"', id="after the calendar"),
        pytest.param('"meter.date_time":"2025-13-45T99:99:99Z"', id="no such day"),
        pytest.param('"meter.date_time":"2025-07-01T"', id="cut off"),
        pytest.param('"meter.date_time":"20250701T120000Z"', id="a form that no device writes"),
        pytest.param('"meter.date_time":"2025-07-01x12:00:00Z"', id="no separator of a time"),
    ],
)
def test_what_tells_no_instant_is_not_made_one(member: str) -> None:
    """A time that cannot be right is not guessed at: the time of arrival stands, and says so."""
    assert timed(member) == ("2025-11-18T10:17:41.203Z", "received")


def test_an_unusable_time_leaves_the_next_surest() -> None:
    """An unset timestamp does not hide a good local time, nor the clock of a meter that of its device."""
    assert timed('"timestamp":0', LOCAL_TIME) == ("2025-11-18T10:00:04Z", "local")
    assert timed('"meter.date_time":"2000-01-01T01:00:00Z"', DEVICE_TIME) == (
        "2025-11-18T10:00:05Z",
        "utc",
    )


@pytest.mark.parametrize(
    ("local", "received_at", "expected"),
    [
        pytest.param(
            "2025-10-26T02:30:00Z",
            "2025-10-26T00:30:01Z",
            "2025-10-26T00:30:00Z",
            id="October, first time",
        ),
        pytest.param(
            "2025-10-26T02:30:00Z",
            "2025-10-26T01:30:01Z",
            "2025-10-26T01:30:00Z",
            id="October, second time",
        ),
        pytest.param(
            "2025-10-26T02:30:00Z",
            "2025-10-26T08:00:00Z",
            "2025-10-26T01:30:00Z",
            id="October, late",
        ),
        pytest.param(
            "2025-03-30T02:30:00Z",
            "2025-03-30T01:30:01Z",
            "2025-03-30T01:30:00Z",
            id="March, clock not yet put forward",
        ),
        pytest.param(
            "2025-03-30T02:30:00Z",
            "2025-03-30T00:30:01Z",
            "2025-03-30T00:30:00Z",
            id="March, put forward too early",
        ),
    ],
)
def test_the_instant_nearest_to_arrival_is_meant(
    local: str, received_at: str, expected: str
) -> None:
    """A local time that comes twice, or never, is the one nearest to when it arrived."""
    arrival = datetime.fromisoformat(received_at)

    assert timed(f'"meter.date_time":"{local}"', received_at=arrival) == (expected, "local")


@pytest.mark.parametrize("text", ["2025-07-01T12:00:00Z", " 2025-07-01T12:00:00Z" + " " * 40])
def test_a_text_means_something_else_in_every_kind_of_place_and_zone(text: str) -> None:
    """However often it was read before, and in which order."""
    places: list[tuple[TextKind, str, int]] = [
        ("utc", "Europe/Zurich", 12),
        ("local", "Europe/Zurich", 10),
        ("local", "Asia/Tokyo", 3),
        ("offset", "Asia/Tokyo", 3),
    ]
    for kind, zone, hour in places + places[::-1]:
        found = instant_of_text(text, kind, zone=ZoneInfo(zone), received_at=RECEIVED_AT)
        assert found == (
            datetime(2025, 7, 1, hour, tzinfo=UTC),
            "utc" if kind == "utc" else "local",
        )


def test_texts_of_times_are_carried_as_sent() -> None:
    """What the device wrote stays readable beside measured_at."""
    reading = read(f'{{{LOCAL_TIME},{DEVICE_TIME},"P_In":1}}')

    assert reading.meter == {"date_time": "2025-11-18T11:00:04Z"}
    assert reading.system == {"date_time_utc": "2025-11-18T10:00:05Z"}


def test_an_unusable_timestamp_is_carried() -> None:
    """A timestamp has no text of its own in the event, so an impossible one goes to extra."""
    assert read('{"P_In":1,"timestamp":1763460001000}').extra == {"timestamp": 1763460001000}


def test_a_date_that_tells_no_instant_is_carried() -> None:
    """Date and Time are one value in two fields; what is not used of them is not lost."""
    assert read('{"P_In":1,"Date":"2025-07-01"}').extra == {"Date": "2025-07-01"}


@pytest.mark.parametrize(
    ("members", "is_logged"),
    [
        pytest.param('"timestamp":1763460001', False, id="a good clock"),
        pytest.param('"timestamp":1763462000', False, id="some minutes ahead"),
        pytest.param('"timestamp":1763464661', True, id="an hour ahead: a wrong time zone"),
        pytest.param('"timestamp":4000000000', True, id="far in the future"),
        pytest.param('"timestamp":0', True, id="never set"),
        pytest.param('"timestamp":946684800', True, id="never set, as meters are"),
        pytest.param('"meter.date_time":"2000-01-01T00:30:00Z"', True, id="never set, as a text"),
        pytest.param('"x":0', False, id="no time at all"),
    ],
)
def test_a_wrong_clock_is_logged_once_for_each_device(members: str, is_logged: bool) -> None:
    """Its readings are kept, and one line names the device."""
    reader = normaliser()
    with capture_logs() as logs:
        for device in ("ECC9FF5C7AD4", "ECC9FF5C7AD4", "ECC9FF5C7F14"):
            reader.normalise(message(f'{{"P_In":1,{members}}}', topic=f"ext/partner/{device}"))

    named = [log["device"] for log in logs if log["event"] == "clock.found_wrong"]
    assert named == (["ECC9FF5C7AD4", "ECC9FF5C7F14"] if is_logged else [])


def test_a_clock_in_the_future_is_kept() -> None:
    """Nobody but the receiver can say what such a reading is worth."""
    assert timed('"timestamp":4000000000') == ("2096-10-02T07:06:40Z", "timestamp")


def test_offsets_move_no_instant() -> None:
    """The same instant written with any offset is the same instant."""
    for hours in range(-12, 15):
        local = datetime(2025, 11, 18, 10, tzinfo=UTC) + timedelta(hours=hours)
        written = f"{local:%Y-%m-%dT%H:%M:%S}{'+' if hours >= 0 else '-'}{abs(hours):02}:00"
        assert timed(f'"meter.date_time_local":"{written}"') == ("2025-11-18T10:00:00Z", "offset")
