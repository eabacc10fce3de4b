"""What is remembered as told, as the outbox keeps it: a subject's key, and a small JSON object."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Kept: TypeAlias = dict[str, Any]
"""Of one subject; its keys are those that the rules give it."""


def read_told(rows: Mapping[str, str]) -> dict[str, Kept]:
    """Each row that can be read; one that cannot is as if never told."""
    kept = {subject: _object(text) for subject, text in rows.items()}
    return {subject: one for subject, one in kept.items() if one is not None}


def _object(text: str) -> Kept | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write_told(kept: Mapping[str, Kept | None]) -> dict[str, str | None]:
    """As `read_told` reads it; None forgets the subject."""
    return {subject: None if one is None else json.dumps(one) for subject, one in kept.items()}
