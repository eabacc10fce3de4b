"""The stage sets the demo up on this machine, plays it, and takes everything down again, however it ends."""

import asyncio
import contextlib
import secrets
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from forwarder.clock import SystemClock
from forwarder.demo.broker import EmbeddedBroker
from forwarder.demo.process import ForwarderProcess
from forwarder.demo.progress import Progress
from forwarder.demo.publisher import Publisher
from forwarder.demo.scene import TOPIC, USERNAME, Scene, routes_yaml, set_scene
from forwarder.demo.story import Story, Verdict
from forwarder.demo.view import View, show_verdict, view_for
from forwarder.errors import ForwarderError
from forwarder.settings import Broker
from forwarder.terminal import plain_lines

_INTERVAL_SECONDS = 1.0
_REFRESH_SECONDS = 0.2


async def perform(console: Console, *, seconds: float, device_count: int) -> bool:
    """
    Perform the whole demo. Returns whether every reading arrived, verified and in order.

    Nothing is left behind: no process, no port, no file. Raises OperationError when it could not be played to its end.
    After any failure the forwarder's own log is shown.
    """
    scene = set_scene(device_count)
    progress = Progress(SystemClock(), seconds=seconds)
    with tempfile.TemporaryDirectory(prefix="whatwatt-demo-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            login = await _start_surroundings(scene, stack)
            forwarder = _prepare_forwarder(scene, login, folder=Path(folder))
            try:
                verdict = await _play(scene, progress, forwarder, login, console)
            except ForwarderError:
                _show_log(console, forwarder)
                raise
            if verdict.problems:
                _show_log(console, forwarder)
    show_verdict(console, verdict)
    return not verdict.problems


async def _start_surroundings(scene: Scene, stack: contextlib.AsyncExitStack) -> Broker:
    password = secrets.token_urlsafe(18)
    broker = await stack.enter_async_context(EmbeddedBroker(username=USERNAME, password=password))
    for recipient in scene.recipients:
        await stack.enter_async_context(recipient.listener)
    return Broker(
        host="127.0.0.1",
        port=broker.port,
        use_tls=False,
        client_id=USERNAME,
        topics=(TOPIC,),
        username=USERNAME,
        password=password,
    )


def _prepare_forwarder(scene: Scene, login: Broker, *, folder: Path) -> ForwarderProcess:
    routes = folder / "routes.yaml"
    routes.write_text(routes_yaml(scene), encoding="utf-8")
    settings = {
        "FORWARDER_MQTT_URI": f"mqtt://{login.address}",
        "FORWARDER_MQTT_USERNAME": USERNAME,
        "FORWARDER_MQTT_PASSWORD": login.password or "",
        "FORWARDER_ROUTES_FILE": str(routes),
        **{recipient.secret_variable: recipient.secret for recipient in scene.recipients},
    }
    return ForwarderProcess(settings, folder=folder)


async def _play(
    scene: Scene,
    progress: Progress,
    forwarder: ForwarderProcess,
    login: Broker,
    console: Console,
) -> Verdict:
    async with forwarder:
        await forwarder.until_ready()
        async with Publisher(login) as publisher:
            story = Story(
                scene,
                progress,
                forwarder=forwarder,
                publisher=publisher,
                interval_seconds=_INTERVAL_SECONDS,
                clock=SystemClock(),
            )
            verdict = await _watched(story, scene, progress, view_for(console))
    if forwarder.exit_code == 0:
        return verdict
    unclean = f"the forwarder answered SIGTERM with exit code {forwarder.exit_code}"
    return replace(verdict, problems=(*verdict.problems, unclean))


async def _watched(story: Story, scene: Scene, progress: Progress, view: View) -> Verdict:
    with view:
        playing = asyncio.create_task(story.play())
        try:
            while not playing.done():
                await asyncio.wait((playing,), timeout=_REFRESH_SECONDS)
                view.refresh(scene, story.ledger, progress)
            return playing.result()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


def _show_log(console: Console, forwarder: ForwarderProcess) -> None:
    console.print("The end of the forwarder's own log:")
    console.print(plain_lines(forwarder.log_tail()), markup=False, soft_wrap=True, style="dim")
