"""Links to endpoints, on every engine."""

import pytest
from support.outbox_builder import NOW, OutboxBuilder

from forwarder.errors import ConfigurationError, OperationError
from forwarder.operator import Actor, opened_by, revoke_share, share_endpoint, shares_in_force
from forwarder.outbox import AddShare, OutboxAccess, opened
from forwarder.settings import OutboxPlace

DAY = 86400.0
ACTOR = Actor("command", "alice")


@pytest.fixture
def built(place: OutboxPlace) -> OutboxBuilder:
    built = OutboxBuilder(place)
    built.delivery("acme", "delivered")
    return built


def ids(outbox: OutboxAccess, *, now: float = NOW, endpoint: str | None = None) -> list[str]:
    return [one.id for one in shares_in_force(outbox, now=now, endpoint=endpoint)]


def test_a_link_opens_its_endpoint_until_it_is_over(built: OutboxBuilder) -> None:
    """Its token opens one endpoint, up to its last second and no longer."""
    with opened(built.place) as outbox:
        acme = share_endpoint(outbox, "acme", seconds=DAY, actor=ACTOR, now=NOW)
        home = share_endpoint(outbox, "home", seconds=7 * DAY, actor=ACTOR, now=NOW + 1)
    with opened(built.place, is_read_only=True) as outbox:
        for made in (acme, home):
            assert opened_by(outbox, made.token, now=NOW + 2) == made.share
        assert opened_by(outbox, acme.token, now=NOW + DAY) is None
        assert ids(outbox) == [acme.share.id, home.share.id]
        assert ids(outbox, endpoint="home") == [home.share.id]
        assert ids(outbox, now=NOW + DAY) == [home.share.id]


def test_only_the_whole_token_opens(built: OutboxBuilder) -> None:
    """What `shares` lists, a part of the token, and another link's secret open nothing."""
    with opened(built.place) as outbox:
        acme, home = (
            share_endpoint(outbox, one, seconds=DAY, actor=ACTOR, now=NOW)
            for one in ("acme", "home")
        )
        identity, _, secret = acme.token.partition(".")
        wrong = (
            "", ".", identity, f"{identity}.", f".{secret}", secret, acme.token[:-1], acme.token + "0",
            acme.token.upper(), f"{identity}.{home.token.partition('.')[2]}", f"{identity}.\udcff",
            f"{identity}.{acme.share.digest.hex()}",
        )  # fmt: skip
        assert [opened_by(outbox, one, now=NOW) for one in wrong] == [None] * len(wrong)


def test_a_revoked_link_opens_nothing(built: OutboxBuilder) -> None:
    """It is gone at once, once; and no link of another endpoint is ended by mistake."""
    with opened(built.place) as outbox:
        made = share_endpoint(outbox, "acme", seconds=DAY, actor=ACTOR, now=NOW)
        with pytest.raises(OperationError, match=made.share.id):
            revoke_share(outbox, made.share.id, actor=ACTOR, now=NOW, endpoint="home")
        assert revoke_share(outbox, made.share.id, actor=ACTOR, now=NOW) == made.share
        assert opened_by(outbox, made.token, now=NOW) is None
        with pytest.raises(OperationError, match=made.share.id):
            revoke_share(outbox, made.share.id, actor=ACTOR, now=NOW)


def test_the_secret_is_kept_nowhere(built: OutboxBuilder) -> None:
    """The outbox holds what recognises a link and nothing that opens it."""
    with opened(built.place) as outbox:
        made = share_endpoint(outbox, "acme", seconds=DAY, actor=ACTOR, now=NOW)
    kept = built.rows("SELECT * FROM share")
    assert made.token.partition(".")[2] not in repr(kept)
    assert repr(made.share.digest) not in repr(made.share)


def test_links_that_are_over_are_forgotten(built: OutboxBuilder) -> None:
    """The next link takes their rows, and one that is added twice is there once."""
    with opened(built.place) as outbox:
        share_endpoint(outbox, "acme", seconds=DAY, actor=ACTOR, now=NOW)
        made = share_endpoint(outbox, "home", seconds=DAY, actor=ACTOR, now=NOW + DAY)
        outbox.operate(AddShare(made.share, NOW + DAY))
    assert built.rows("SELECT id FROM share") == [(made.share.id,)]


@pytest.mark.parametrize("seconds", [0.0, -1.0, 366 * DAY + 1])
def test_a_link_has_an_end(built: OutboxBuilder, seconds: float) -> None:
    """None works for ever, or for no time."""
    with opened(built.place) as outbox, pytest.raises(ConfigurationError, match="366d"):
        share_endpoint(outbox, "acme", seconds=seconds, actor=ACTOR, now=NOW)


def test_the_operators_endpoint_has_no_link(built: OutboxBuilder) -> None:
    """Its notices tell of every endpoint."""
    with opened(built.place) as outbox, pytest.raises(ConfigurationError, match="operator"):
        share_endpoint(outbox, "operator", seconds=DAY, actor=ACTOR, now=NOW)
