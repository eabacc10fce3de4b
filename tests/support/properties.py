"""The number of examples of a property: all as a rule, a tenth with `--hypothesis-profile short`."""

from hypothesis import settings

FULL, SHORT = 100, 10


def register_profiles() -> None:
    """Register profiles without deadlines, because the time of an example depends on the machine."""
    settings.register_profile("full", max_examples=FULL, deadline=None)
    settings.register_profile("short", max_examples=SHORT, deadline=None)
    settings.load_profile("full")


def examples(full: int) -> int:
    """The examples of a property with its own number: `full` in the full profile, a part of it in the short one."""
    return max(1, full * settings().max_examples // FULL)
