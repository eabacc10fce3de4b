"""A harness of a real mosquitto: a free loopback port, its own configuration, and an end whenever a test wants it."""

import getpass
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.ports import free_port

from forwarder.settings import Broker

BINARY = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
HOST = "127.0.0.1"
PATIENCE_SECONDS = 20.0


class Mosquitto:
    """
    One broker and its files in `folder`; a context manager in whose block the broker runs.

    users: password of each user; None lets anyone in without a password
    acl: lines of an ACL file, such as "user alice", "topic readwrite ext/#"
    server_files: certificate chain and key, which make it a TLS listener
    client_ca_file: TLS clients must show a certificate of this CA
    persistence: keeps sessions on disk, saved at each change and at `stop`
    refuses_subscriptions: SUBSCRIBE is answered by a failure, which an ACL file cannot make mosquitto 2.0 do
    settings: further lines of mosquitto.conf, such as "max_inflight_messages 20"
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: Sequence[str] | None = None,
        server_files: tuple[Path, Path] | None = None,
        client_ca_file: Path | None = None,
        persistence: bool = False,
        refuses_subscriptions: bool = False,
        settings: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.users = dict(users or {})
        self.use_tls = server_files is not None
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._logged = threading.Condition()
        lines = [f"listener {self.port} {HOST}", f"user {getpass.getuser()}", "log_type all"]
        lines += self._authentication(acl)
        if server_files is not None:
            lines += [f"certfile {server_files[0]}", f"keyfile {server_files[1]}"]
        if client_ca_file is not None:
            lines += [f"cafile {client_ca_file}", "require_certificate true"]
        if persistence:
            lines += [
                "persistence true",
                f"persistence_location {folder}/",
                "autosave_interval 1",
                "autosave_on_changes true",
            ]
        if refuses_subscriptions:
            lines += self._refusal()
        self._write("mosquitto.conf", [*lines, *settings])

    @property
    def uri(self) -> str:
        return f"{'mqtts' if self.use_tls else 'mqtt'}://{HOST}:{self.port}"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> str:
        with self._logged:
            return "\n".join(self._lines)

    def broker(self, **changes: Any) -> Broker:
        """The broker as the forwarder reaches it, by the first user; `changes` are fields of Broker."""
        username, password = next(iter(self.users.items()), (None, None))
        reached = Broker(
            host=HOST,
            port=self.port,
            use_tls=self.use_tls,
            client_id=username or "whatwatt-forwarder",
            topics=("ext/#",),
            username=username,
            password=password,
        )
        return replace(reached, **changes)

    def start(self) -> None:
        """Start the broker; return once it listens."""
        assert BINARY is not None, "mosquitto is not installed: apt-get install mosquitto"
        seen = len(self._lines)
        self._process = subprocess.Popen(
            [BINARY, "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._collect, args=(self._process,), daemon=True).start()
        self.wait_for_log(" running", after=seen)

    def stop(self) -> None:
        """End the broker as `systemctl stop` does; it saves its sessions first."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a power cut does."""
        self._signal(signal.SIGKILL)

    def reload(self) -> None:
        """Make the broker read its password and ACL files anew."""
        assert self._process is not None
        seen = len(self._lines)
        self._process.send_signal(signal.SIGHUP)
        self.wait_for_log("Reloading config", after=seen)

    def freeze(self) -> None:
        """Stop the broker without closing anything: connections stay, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def add_user(self, name: str, password: str) -> None:
        """Let another user in from now on."""
        self._set_password(name, password)
        self.reload()

    def write_acl(self, lines: Sequence[str]) -> None:
        self._write("acl", lines)

    def wait_for_log(self, text: str, *, after: int = 0) -> None:
        """Return once a line from number `after` on contains `text`."""
        with self._logged:
            found = self._logged.wait_for(
                lambda: any(text in line for line in self._lines[after:]), PATIENCE_SECONDS
            )
        assert found, f"mosquitto did not log {text!r}:\n{self.log}"

    def _authentication(self, acl: Sequence[str] | None) -> list[str]:
        lines = []
        if self.users:
            lines.append(f"password_file {self._write('passwords', [])}")
            for name, password in self.users.items():
                self._set_password(name, password)
        else:
            lines.append("allow_anonymous true")
        if acl is not None:
            lines.append(f"acl_file {self._write('acl', acl)}")
        return lines

    def _refusal(self) -> list[str]:
        plugin = next(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"))
        rules = {
            "publishClientSend": True,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        }
        rules_file = self._write("dynamic-security.json", [json.dumps({"defaultACLAccess": rules})])
        return [f"plugin {plugin}", f"plugin_opt_config_file {rules_file}"]

    def _set_password(self, name: str, password: str) -> None:
        command = ["mosquitto_passwd", "-b", str(self._folder / "passwords"), name, password]
        subprocess.run(command, check=True, capture_output=True)

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self._folder / name
        path.write_text("".join(line + "\n" for line in lines))
        path.chmod(0o600)
        return path

    def _collect(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                with self._logged:
                    self._lines.append(line.rstrip())
                    self._logged.notify_all()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
