from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from support.postgres import PostgresServer

from forwarder.settings import Database

# How long one example takes is the machine's affair: no test judges time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, each of which has a schema of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Callable[[], Database]:
    """Makes one without tables; the server starts with the first."""
    return lambda: request.getfixturevalue("postgres").database()
