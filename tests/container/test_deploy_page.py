"""The commands of docs/deploy.md for Compose, typed as they stand there, up to a subscribed service."""

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.container_project import BROKER_PASSWORD, REPOSITORY, furnish_for_the_page
from support.containers import Engine, Project, until

pytestmark = pytest.mark.timeout(300)

SHELL = """\
docker() { "$ENGINE" "$@"; }
sudo() { if [ "$(id -u)" = 0 ]; then "$@"; else command sudo "$@"; fi; }
set -euo pipefail
"""


def commands() -> list[str]:
    """Those of the first block below the heading; what goes on in the next line is one."""
    section = (REPOSITORY / "docs/deploy.md").read_text().split("\n## Compose\n")[1]
    block = section.split("```console\n")[1].split("```")[0].replace("\\\n", " ")
    return re.findall(r"^\$ (.+)$", block, re.MULTILINE)


@pytest.fixture
def page(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """The folder of somebody who has whatwatt's certificate and password, beside a broker that wants both."""
    furnish_for_the_page(tmp_path)
    project = Project(engine, tmp_path, name=f"wwfo-{secrets.token_hex(3)}")
    try:
        project.compose("up", "-d", "--no-build", "broker", "receiver")
        project.have_names_answered()
        yield project
    finally:
        project.compose("down", "-v", "-t", "2")


def typed(command: str, page: Project) -> str:
    """What a command says that ends well."""
    environ = os.environ | {
        "ENGINE": page.engine.command,
        "HOME": str(page.folder / "home"),
        "EDITOR": str(page.folder / "editor"),
        "COMPOSE_PROJECT_NAME": page.name,
        "COMPOSE_FILE": "compose.yaml:compose.test.yaml",
    }
    done = subprocess.run(
        ["bash", "-c", SHELL + command],
        cwd=page.folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_page_leads_to_a_subscribed_service(page: Project) -> None:
    """Certificate, password and secret lie where the page puts them, and nothing else has to be done."""
    *placing, check, start, status = commands()
    for command in placing:
        typed(command, page)

    checked = typed(check, page)
    typed(start, page)
    until(lambda: "subscribed for" in typed(status, page), otherwise=lambda: typed(status, page))

    assert "✓ broker" in checked
    assert "✓ endpoint acme" in checked
    assert BROKER_PASSWORD not in page.container("forwarder").last_words()
