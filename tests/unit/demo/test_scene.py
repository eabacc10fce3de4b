from pathlib import Path

from forwarder.demo.scene import routes_yaml, set_scene
from forwarder.routes import EndpointName, load_routes


def test_routes_give_each_recipient_what_it_wants(tmp_path: Path) -> None:
    """The generated file passes the forwarder's own checks, and matches what the demo will demand."""
    scene = set_scene(5)
    secrets = {recipient.secret_variable: recipient.secret for recipient in scene.recipients}
    (tmp_path / "routes.yaml").write_text(routes_yaml(scene).replace(":0/", ":9000/"))
    routes = load_routes(tmp_path / "routes.yaml", environ=secrets)
    for simulated in scene.fleet:
        wanting = {one.name for one in scene.recipients if simulated.device in one.devices}
        assert set(routes.match(simulated.device)) == {EndpointName(name) for name in wanting}
