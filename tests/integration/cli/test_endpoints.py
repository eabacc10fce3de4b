"""`forwarder endpoints pause|resume`."""

from support.outbox_builder import OutboxBuilder
from support.shell import Operator

from forwarder.endpoint_health import EndpointHealth


def _state(operator: Operator, name: str = "acme") -> tuple[str, str | None]:
    endpoint = operator.json("status")["endpoints"][name]
    return endpoint["state"], endpoint["paused_by"]


def test_pause_and_resume(operator: Operator, built: OutboxBuilder) -> None:
    """Each does what it says, and says when there was nothing to do."""
    built.delivery("acme", "pending")

    assert operator.says("endpoints", "pause", "acme") == "acme is paused\n"
    assert _state(operator) == ("paused", "operator")
    assert operator.says("endpoints", "pause", "acme") == "acme was paused already\n"
    assert operator.says("endpoints", "resume", "acme") == "acme goes on\n"
    assert _state(operator) == ("closed", None)
    assert operator.says("endpoints", "resume", "acme") == "acme was not paused\n"


def test_resume_forgets_a_410_and_earlier_failures(
    operator: Operator, built: OutboxBuilder
) -> None:
    """An endpoint that goes on starts with a closed circuit."""
    built.health("acme", EndpointHealth(failures=9, open_until=9e9, failing_since=1.0))
    with built.store() as store:
        store.endpoints.record_gone(store.endpoint_id("acme"), "digest")
    assert _state(operator) == ("paused", "gone")

    operator.says("endpoints", "resume", "acme")

    row = "SELECT paused_by, gone_url, failures, open_until, failing_since FROM endpoint"
    assert built.rows(row) == [(None, None, 0, None, None)]


def test_pause_before_the_first_reading(operator: Operator, built: OutboxBuilder) -> None:
    """An endpoint that only routes.yaml knows yet can be paused."""
    operator.says("endpoints", "pause", "home")

    assert _state(operator, "home") == ("paused", "operator")


def test_resume_tells_that_the_routes_pause_it_too(
    operator: Operator, built: OutboxBuilder
) -> None:
    """A command cannot overrule `paused: true` in the file, and says so."""
    text = (operator.folder / "routes.yaml").read_text()
    operator.write_routes(text.replace("mode: latest", "paused: true"))

    assert "stays paused: routes.yaml says paused: true" in operator.says(
        "endpoints", "resume", "home"
    )


def test_unknown_endpoint(operator: Operator, built: OutboxBuilder) -> None:
    """A name that nobody knows pauses nothing."""
    assert 'did you mean "acme"?' in operator.fails("endpoints", "pause", "acmee")
    assert built.rows("SELECT count(*) FROM endpoint") == [(0,)]


def test_a_link_is_told_once(operator: Operator, built: OutboxBuilder) -> None:
    """`share` prints the link, `shares` lists it without what opens it, `unshare` ends it."""
    built.delivery("acme", "pending")
    operator.environment["FORWARDER_PUBLIC_URL"] = "https://forwarder.example/"
    url = operator.run("endpoints", "share", "acme", "--for", "2d").stdout.strip()
    assert url.startswith("https://forwarder.example/share/")
    (listed,) = operator.json("endpoints", "shares")
    assert (listed["endpoint"], "url" in listed) == ("acme", False)
    identity, _, secret = url.rpartition("/")[2].partition(".")
    assert identity == listed["id"]
    table = operator.says("endpoints", "shares")
    assert identity in table
    assert secret not in table
    assert operator.says("endpoints", "unshare", identity) == "the link to acme works no more\n"
    assert operator.says("endpoints", "shares") == "no links\n"
    assert "forwarder endpoints shares" in operator.fails("endpoints", "unshare", identity)


def test_what_cannot_be_shared_is_said(operator: Operator, built: OutboxBuilder) -> None:
    """An unknown endpoint, and a time that is none, are refused with a sentence."""
    built.delivery("acme", "pending")
    assert "acme" in operator.fails("endpoints", "share", "acmee")
    assert "duration" in operator.fails("endpoints", "share", "acme", "--for", "soon")
    assert "366d" in operator.fails("endpoints", "share", "acme", "--for", "400d")
    assert operator.says("endpoints", "shares") == "no links\n"
