"""Rules and queries tried on a recording, by Prometheus's own promtool."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitoring.recording import Recording

ROOT = Path(__file__).parents[1]
_UNPACKED = ROOT / "build/prometheus/usr/bin"
"""Where `make promtool` puts it, when it is not installed."""


@dataclass(frozen=True)
class Tried:
    """What promtool said."""

    is_fine: bool
    said: str


def promtool(*arguments: str) -> Tried:
    """Raises FileNotFoundError when there is none."""
    path = os.pathsep.join((os.environ.get("PATH", ""), str(_UNPACKED)))
    program = shutil.which("promtool", path=path)
    if program is None:
        raise FileNotFoundError("promtool is not there; `make promtool` brings it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return Tried(done.returncode == 0, done.stdout + done.stderr)


def try_rules(
    rules: str,
    recording: Recording,
    expected: Mapping[str, Mapping[str, float]],
    *,
    folder: Path,
    stretched: float = 1.0,
) -> Tried:
    """
    Whether each expression has these samples, by their labels, when the recording is over.

    `stretched`: the recording is played so many times as slowly, because an alert waits longer than a test does.
    """
    interval = recording.every_seconds * stretched
    over = interval * (len(recording.scrapes) - 1)
    (folder / "rules.yml").write_text(rules)
    test: dict[str, Any] = {
        "interval": f"{round(interval)}s",
        "input_series": recording.input_series(),
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{round(over)}s", "exp_samples": _samples(found)}
            for expression, found in expected.items()
        ],
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(content, width=1 << 20))
    return promtool("test", "rules", str(folder / "test.yml"))


def _samples(found: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"labels": labels, "value": value} for labels, value in found.items()]
