"""The images that `make test-container` built, and a compose project of its own for each test."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.container_project import furnish, furnish_demo, furnish_replicas
from support.containers import Engine, Project

POSTGRES_IMAGE = "postgres:17"


@pytest.fixture(scope="session")
def engine() -> Engine:
    command = os.environ.get("ENGINE")
    if not command:
        pytest.skip("no container engine is named in ENGINE; `make test-container` finds one")
    return Engine(command)


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """compose.yaml as it is shipped, in a folder as docs/deploy.md has people make it, running."""
    furnish(tmp_path)
    yield from running(Project(engine, tmp_path, name=f"wwfo-{secrets.token_hex(3)}"))


@pytest.fixture
def demo(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """compose.demo.yaml as it is shipped, running."""
    furnish_demo(tmp_path)
    yield from running(Project(engine, tmp_path, name=f"wwfo-{secrets.token_hex(3)}"))


@pytest.fixture
def replicas(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """compose.postgresql.yaml as it is shipped, running."""
    there = ("image", "inspect", POSTGRES_IMAGE), ("pull", "-q", POSTGRES_IMAGE)
    if all(engine.run(*words).returncode for words in there):
        pytest.skip(f"there is no {POSTGRES_IMAGE} here, and none can be had")
    furnish_replicas(tmp_path)
    yield from running(Project(engine, tmp_path, name=f"wwfo-{secrets.token_hex(3)}"))


def running(project: Project) -> Iterator[Project]:
    try:
        project.compose("up", "-d", "--no-build")
        yield project
    finally:
        project.compose("down", "-v", "-t", "2")
