"""routes.yaml edited while messages flow: whole or not at all, and at once."""

import random
import signal
from pathlib import Path

from support.line import Line, assert_told_once_in_order
from support.receiver_policies import always
from support.webhooks import OK, UNAVAILABLE

BROKEN = "endpoints:\n  acme:\n    url: [\n"


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def renamed_over(file: Path, text: str) -> None:
    """As editors save."""
    draft = file.with_name("routes.yaml.draft")
    draft.write_text(text)
    draft.rename(file)


def symlink_swapped(file: Path, text: str) -> None:
    """As Kubernetes changes a ConfigMap: the file is a link into `..data`, which is a link to a dated folder."""
    dated = file.with_name(f"..{len(list(file.parent.iterdir()))}")
    dated.mkdir()
    (dated / file.name).write_text(text)
    _link(file.with_name("..data"), dated)
    _link(file, file.with_name("..data") / file.name)


def _link(link: Path, target: Path) -> None:
    draft = link.with_name(link.name + ".draft")
    draft.symlink_to(target)
    draft.rename(link)


async def test_an_edit_takes_effect_however_the_file_is_saved(line: Line) -> None:
    """Each new endpoint gets readings, while the others miss none and get none twice."""
    acme = await line.receiver("acme")
    await line.start()
    async with line.flowing():
        for save in (in_place, renamed_over, symlink_swapped, symlink_swapped):
            added = await line.receiver(f"endpoint-{len(line.endpoints)}")
            save(line.routes_file, line.routes_text())
            await added.until_count(10)
    await acme.until_count(line.fleet.count)
    assert_told_once_in_order(acme, line.fleet.issued)


async def test_a_broken_file_changes_nothing(line: Line) -> None:
    """The last good routes stay, /readyz stays 200 and says what is wrong and where; a good file ends that."""
    acme = await line.receiver("acme")
    await line.start()
    line.routes_file.write_text(BROKEN)
    said = await line.service.readiness(lambda _, said: said["routes"]["problems"])
    assert said["routes"]["problems"] == 1
    assert said["routes"]["first"] == "routes.yaml:4:1"
    assert said["ready"]
    await line.publish(10)
    await acme.until_count(10)
    line.write_routes()
    await line.service.readiness(lambda _, said: said["routes"]["problems"] == 0)


async def test_a_removed_endpoint_keeps_what_is_pending(line: Line) -> None:
    """It gets nothing while no file names it; what was pending waits, and arrives when it is named again."""
    acme = await line.receiver("acme")
    home = await line.receiver("home", always(UNAVAILABLE))
    await line.start()
    await line.publish(20)
    await home.until_posts(1)
    settings = line.endpoints.pop("home")
    line.write_routes()
    await line.service.logged("routes.reloaded")
    home.policy = always(OK)
    await line.publish(20)
    await acme.until_count(40)
    status = await line.service.status()
    assert (status["endpoints"]["home"]["state"], status["endpoints"]["home"]["pending"]) == (
        "removed",
        20,
    )
    assert home.count == 0
    line.endpoints["home"] = settings
    line.write_routes()
    await home.until_count(20)
    assert_told_once_in_order(home, {device: ids[:2] for device, ids in line.fleet.issued.items()})


async def test_many_edits_lose_and_misdirect_nothing(line: Line) -> None:
    """
    Of many edits under load, each read at once after SIGHUP, a third are broken.

    Who is in every table misses nothing, who is in none gets nothing.
    """
    dice = random.Random(4)
    archive, acme = await line.receiver("archive"), await line.receiver("acme")
    never_given, *given = line.fleet.devices
    line.endpoints["acme"]["devices"] = given
    await line.start()
    async with line.flowing():
        for _ in range(60):
            line.endpoints["acme"]["devices"] = dice.sample(given, k=3)
            await edit(line, BROKEN if dice.random() < 0.33 else line.routes_text())
        line.endpoints["acme"]["devices"] = given
        await edit(line, line.routes_text())
        assert await edit(line, line.routes_text()) == "routes.unchanged"
    await archive.until_count(line.fleet.count)
    assert_told_once_in_order(archive, line.fleet.issued)
    assert never_given not in acme.devices
    assert acme.forged == []


async def edit(line: Line, text: str) -> str:
    """Save the file, say so, and tell what the service makes of it."""
    before = len(line.service.events)
    line.routes_file.write_text(text)
    line.service.send(signal.SIGHUP)
    known = ("routes.reloaded", "routes.rejected", "routes.unchanged")
    outcome = await line.service.logged(*known, after=before)
    return str(outcome["event"])


async def test_a_new_partner_s_secret_needs_no_restart(line: Line) -> None:
    """`.env` gains the secret, `routes.yaml` the endpoint that names it: its readings arrive, signed with it."""
    await line.receiver("acme")
    await line.start()
    globex = await line.receiver("globex", secret="env:GLOBEX_SECRET")
    (line.folder / ".env").write_text(f"GLOBEX_SECRET='{globex.secret}'\n")
    line.write_routes()
    await line.service.logged("routes.reloaded")
    await line.publish(10)
    await globex.until_count(10)
    assert globex.forged == []
