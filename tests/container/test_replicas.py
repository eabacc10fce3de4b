"""compose.postgresql.yaml: three replicas on a database with a standby, of which any part may go."""

import json
from typing import Any

import pytest
from support.containers import Project, until

pytestmark = pytest.mark.timeout(600)


PARTS = ("postgres", "standby", "forwarder-1", "forwarder-2", "forwarder-3", "receiver")


def status(project: Project, replica: str) -> dict[str, Any]:
    container = project.container(replica)
    done = project.engine.run("exec", container.id, "forwarder", "status", "--json")
    said: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"replicas": []}
    return said


def leaders(project: Project, replica: str) -> list[str]:
    return [one["name"] for one in status(project, replica)["replicas"] if one["leads"]]


def test_another_goes_on(replicas: Project) -> None:
    """Readings arrive verified, also after a kill of the leader, and of the primary with its standby promoted."""
    receiver = replicas.container("receiver")

    def taken() -> int:
        return receiver.text().count("204 ✓ ")

    def last_words() -> str:
        return "\n".join(f"{name}: {replicas.container(name).last_words()}" for name in PARTS)

    def more() -> None:
        replicas.have_names_answered()
        before = taken()
        until(lambda: taken() >= before + 10, otherwise=last_words)

    more()
    until(lambda: len(status(replicas, "forwarder-1")["replicas"]) == 3)
    (leader,) = leaders(replicas, "forwarder-1")
    other = "forwarder-2" if leader == "forwarder-1" else "forwarder-1"
    replicas.container(leader).kill("KILL")
    more()
    assert leaders(replicas, other) != [leader]
    replicas.container("postgres").kill("KILL")
    standby = replicas.container("standby")
    replicas.engine("exec", standby.id, "pg_ctl", "promote")
    more()
    assert "✗" not in receiver.text()
