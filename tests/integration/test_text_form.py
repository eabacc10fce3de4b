"""The `text` form of operator events against the types that Slack publishes for its incoming webhooks."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.clock import HandClock
from support.notices import NOTICES
from support.programs import of_npm

from forwarder.delivery import Delivery, ReadingNumber
from forwarder.notices.wording import new_notice
from forwarder.render import render, render_test
from forwarder.routes.model import Endpoint, EndpointName

OPERATOR = Endpoint(
    EndpointName("operator"), url="https://o.example", keys=(), format="text", events=("*",)
)
SLACK = ("@slack/webhook", "8.0.2")
COMPILER = ("typescript", "5.9.3")
HEAD = """\
import type { IncomingWebhookSendArguments } from "@slack/webhook";
type Body = IncomingWebhookSendArguments & { text: string };
"""
WRONG = ['{"txt": "all is well"}', '{"text": 7}', '{"text": "", "type": "endpoint.failing"}', "{}"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where Slack's types are found."""
    (tmp_path / "node_modules").symlink_to(of_npm(*SLACK) / "node_modules")
    return tmp_path


def bodies() -> list[bytes]:
    """Of a notice of every kind, as it leaves after its way through the outbox, and of a test."""
    rows = [new_notice(notice, at=0.0, endpoint="operator") for notice in NOTICES]
    deliveries = [
        Delivery(ReadingNumber(1), "operator", row.device, row.webhook_id, row.measured_at, 0.0, 0.0, 0, row.data)
        for row in rows
    ]  # fmt: skip
    sent = [render([one], endpoint=OPERATOR) for one in deliveries]
    return [one.body for one in (*sent, render_test(OPERATOR, now=HandClock().now()))]


def complaints(folder: Path, lines: Sequence[str]) -> str:
    """What the compiler says of these lines below HEAD; nothing where all fit."""
    program = folder / "bodies.mts"
    program.write_text("\n".join([HEAD, *lines]))
    compiler = of_npm(*COMPILER) / "node_modules" / "typescript" / "bin" / "tsc"
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext")
    done = subprocess.run(
        ["node", str(compiler), *options, str(program)], cwd=folder, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_every_body_is_of_the_type_that_slack_publishes(folder: Path) -> None:
    """IncomingWebhookSendArguments, and `text` in it, without which Slack answers `no_text`."""
    sent = bodies()
    lines = [f"export const body{at}: Body = {body.decode()};" for at, body in enumerate(sent)]

    assert complaints(folder, lines) == ""
    assert all(json.loads(body)["text"] for body in sent)


def test_compiler_finds_what_is_not_of_that_type(folder: Path) -> None:
    """Each of these lines is an error, or the compiler says that it expected one."""
    lines = [
        f"// @ts-expect-error\nexport const body{at}: Body = {body};"
        for at, body in enumerate(WRONG)
    ]

    assert complaints(folder, lines) == ""
    assert complaints(folder, [f"export const body: Body = {WRONG[0]};"])
