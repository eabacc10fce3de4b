"""How long properties are tried: in full as a rule, a tenth of it where `--hypothesis-profile short` asks for that."""

from hypothesis import settings

FULL, SHORT = 100, 10


def register_profiles() -> None:
    """How long one example takes is the machine's affair: no test judges time."""
    settings.register_profile("full", max_examples=FULL, deadline=None)
    settings.register_profile("short", max_examples=SHORT, deadline=None)
    settings.load_profile("full")


def examples(full: int) -> int:
    """Examples of a property that needs another number than usual: so many in full, and its part in short."""
    return max(1, full * settings().max_examples // FULL)
