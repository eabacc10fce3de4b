"""How the outbox of an earlier release is brought up to today's schema: one step from each version to the next."""

import sqlite3
from collections.abc import Callable

Step = Callable[[sqlite3.Connection], None]
"""
Changes tables and rows from one version to the next, within a transaction that its caller owns.

Statement by statement: sqlite3's `executescript` would end that transaction.
"""

STEPS: tuple[Step, ...] = ()
"""The first brings version 1 to 2. A new file takes none of them: schema.sql is always the newest version."""
