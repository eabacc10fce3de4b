"""The memory of told notices, as the outbox keeps it: a subject's key, and a small JSON object."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Kept: TypeAlias = dict[str, Any]
"""The memory of one subject. The rules choose its keys."""


def read_told(rows: Mapping[str, str]) -> dict[str, Kept]:
    """The rows that can be read. A row that cannot counts as never told."""
    kept = {subject: _object(text) for subject, text in rows.items()}
    return {subject: one for subject, one in kept.items() if one is not None}


def _object(text: str) -> Kept | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def write_told(kept: Mapping[str, Kept | None]) -> dict[str, str | None]:
    """The rows for `read_told`. None forgets the subject."""
    return {subject: None if one is None else json.dumps(one) for subject, one in kept.items()}
