"""A builder of routing files, which are read as the service reads them."""

import base64
from collections.abc import Mapping
from pathlib import Path

from forwarder.routes import Routes, load_routes
from forwarder.routes.load import read_routes

ENDPOINT = """\
endpoints:
  acme:
    url: https://a.example/
    secret: env:KEY
    devices: "*"
"""


def secret(length: int = 32) -> str:
    """A `whsec_…` of so many bytes, the same each time."""
    return "whsec_" + base64.b64encode(bytes(range(length))).decode()


ENVIRON = {"KEY": secret(), "OTHER_KEY": secret(40), "EMPTY": " "}


def endpoint_with(*settings: str) -> str:
    """A file of one good endpoint, `acme`, in which these settings replace its own or follow them."""
    given = {line.partition(":")[0]: line for line in settings}
    lines = ENDPOINT.splitlines()
    own = [given.pop(line.partition(":")[0].strip(), line.strip()) for line in lines[2:]]
    return "\n".join([*lines[:2], *(f"    {line}" for line in (*own, *given.values()) if line), ""])


def routes_of(text: str, *, folder: Path, environ: Mapping[str, str] = ENVIRON) -> Routes:
    file = folder / "routes.yaml"
    file.write_text(text)
    return load_routes(file, environ=environ)


def problems_of(text: str, *, folder: Path, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Every problem of the file, with paths as seen from the folder."""
    file = folder / "routes.yaml"
    file.write_text(text)
    problems = read_routes(file, environ=environ).problems
    return [problem.replace(f"{folder}/", "") for problem in problems]
