"""The routing page and the example: every file in them loads, and every setting is explained."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.certificates import Authority
from support.routing import secret

from forwarder.routes import load_routes
from forwarder.routes.schema import routes_schema
from forwarder.routes.spec import EndpointSpec

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "routing.md").read_text()
SITUATIONS = dict(
    re.findall(r"^### (\d+ · [^\n]+)\n.*?```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
)


@pytest.mark.parametrize("title", SITUATIONS)
def test_situation_of_the_page_loads(title: str, tmp_path: Path) -> None:
    """Each file of the page is valid as it stands, to the program and to an editor."""
    Authority(tmp_path, "utility-ca")
    (tmp_path / "fleet.txt").write_text("ECC9FF5C7AD4  # cellar\n")
    (tmp_path / "archive").write_text(secret())
    text = SITUATIONS[title].replace("/run/secrets/", "")
    (tmp_path / "routes.yaml").write_text(text)

    routes = load_routes(tmp_path / "routes.yaml", environ=_anything())

    assert routes.endpoints
    assert not list(
        Draft202012Validator(routes_schema()).iter_errors(yaml.safe_load(_quoted(text)))
    )


def test_page_shows_ten_situations() -> None:
    assert len(SITUATIONS) == 10


def test_example_loads() -> None:
    """The routes.yaml that comes with the program routes by MAC, by group, and everything."""
    routes = load_routes(ROOT / "routes.yaml", environ=_anything())

    kinds = {
        (s.wants_every_device, bool(s.devices), bool(s.groups)) for s in routes.selections.values()
    }
    assert kinds == {(True, False, False), (False, True, False), (False, False, True)}


@pytest.mark.parametrize("setting", EndpointSpec.model_fields)
def test_setting_is_explained_on_the_page(setting: str) -> None:
    assert re.search(rf"^[^|\n]*`{setting}`[^|\n]* \| ", PAGE, re.MULTILINE)


def _anything() -> dict[str, str]:
    names = re.findall(r"env:([A-Z_]+)", PAGE + (ROOT / "routes.yaml").read_text())
    return dict.fromkeys(names, secret())


def _quoted(text: str) -> str:
    """PyYAML speaks YAML 1.1, to which `off` is false; editors speak 1.2."""
    return text.replace("batch: off", 'batch: "off"')
