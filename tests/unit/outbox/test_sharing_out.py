"""Who delivers to which endpoint: evenly shared, and nothing moves that need not."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from forwarder.outbox.postgresql.sharing_out import share

NAMES = [f"endpoint-{number}" for number in range(40)]
MEMBERS = [f"member-{number}" for number in range(7)]
members = st.lists(st.sampled_from(MEMBERS), min_size=1, unique=True)


@st.composite
def homes(draw: st.DrawFn) -> dict[str, str | None]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    return {name: draw(st.sampled_from([None, *MEMBERS])) for name in names}


@given(homes(), members)
def test_every_home_has_a_member_and_nobody_more_than_one_more_than_another(
    owners: dict[str, str | None], present: list[str]
) -> None:
    shared = share(owners, present)
    held = Counter(shared.values())
    assert shared.keys() == owners.keys()
    assert set(held) <= set(present)
    loads = [held[member] for member in present]
    assert max(loads) - min(loads) <= 1


@given(homes(), members)
def test_all_replicas_come_to_the_same_answer(
    owners: dict[str, str | None], present: list[str]
) -> None:
    """Whatever order the rows come in."""
    shuffled = dict(sorted(owners.items(), reverse=True))
    assert share(shuffled, sorted(present, reverse=True)) == share(owners, sorted(present))


@given(homes(), members)
def test_only_what_has_to_moves(owners: dict[str, str | None], present: list[str]) -> None:
    """What is nobody's, and what its replica has beyond the share that evenness leaves it."""
    shared = share(owners, present)
    held = Counter(owner for owner in owners.values() if owner in present)
    least, left_over = divmod(len(owners), len(present))
    most = sorted(held.values(), reverse=True) + [0] * len(present)
    stays = sum(
        min(count, least + (rank < left_over)) for rank, count in enumerate(most[: len(present)])
    )
    assert sum(shared[name] == owner for name, owner in owners.items()) == stays


@given(homes(), members)
def test_what_is_shared_out_is_at_rest(owners: dict[str, str | None], present: list[str]) -> None:
    """Once everybody has what should be theirs, nothing moves any more."""
    shared = share(owners, present)
    assert share(shared, present) == shared


@given(homes(), members, st.data())
def test_it_comes_to_rest_whoever_acts_first(
    owners: dict[str, str | None], present: list[str], data: st.DataObject
) -> None:
    """Each replica lets go of what should not be its own, and takes what is free and should be, as it sees them."""
    state = dict(owners)
    for _ in range(4 * len(present)):
        actor = data.draw(st.sampled_from(present))
        wanted = share(state, present)
        for name, owner in state.items():
            if owner == actor and wanted[name] != actor:
                state[name] = None
            elif owner not in present and wanted[name] == actor:
                state[name] = actor
    for _ in range(2):
        for actor in present:
            wanted = share(state, present)
            for name, owner in state.items():
                if owner == actor and wanted[name] != actor:
                    state[name] = None
                elif owner not in present and wanted[name] == actor:
                    state[name] = actor
    assert share(state, present) == state
