import gc
from collections.abc import Callable, Iterator

import pytest
from support.postgres import PostgresServer
from support.properties import register_profiles

from forwarder.settings import Database

register_profiles()


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests and modules, which stay to the end."""
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, each of which has a schema of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Callable[[], Database]:
    """Makes one without tables; the server starts with the first."""
    return lambda: request.getfixturevalue("postgres").database()
