"""What only an outbox in a database owes."""

from collections.abc import Callable

import pytest

from forwarder.settings import Database


@pytest.fixture
def place(new_database: Callable[[], Database]) -> Database:
    return new_database()
