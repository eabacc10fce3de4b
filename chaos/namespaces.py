"""Machines of the suite's own: network namespaces on one bridge, which need root, ip(8) and iptables(8)."""

import os
import random
import subprocess
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from chaos.disk import NotPermitted, require, run

_ENTER = ("ip", "netns", "exec")


class Machine:
    """One namespace, whose way to ports elsewhere can be cut: packets vanish, and nobody is told."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    @property
    def wrapped_in(self) -> tuple[str, ...]:
        """What starts a program on it; the process is the program's own, without another one around it."""
        return (*_ENTER, self.name)

    def cut(self, port: int) -> None:
        for rule in self._rules(port):
            run(*self.wrapped_in, require("iptables"), "-A", *rule)

    def heal(self) -> None:
        run(*self.wrapped_in, require("iptables"), "-F")

    def _rules(self, port: int) -> list[tuple[str, ...]]:
        """Both ways, as where a cable is out."""
        return [
            ("OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP"),
            ("INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP"),
        ]


class Network:
    """So many machines, and `address` on the bridge, where all else listens; a context manager."""

    def __init__(self, count: int) -> None:
        subnet = random.randrange(16, 250)  # noqa: S311 - beside other runs
        self._prefix = f"chaos{subnet}"
        self.address = f"10.213.{subnet}.1"
        self.machines = [
            Machine(f"{self._prefix}-{number}", f"10.213.{subnet}.{10 + number}")
            for number in range(count)
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NotPermitted("network namespaces need root")
        require("ip")
        require("iptables")
        with self._stack:
            self._set_up()
            self._stack = self._stack.pop_all()
        return self

    def _set_up(self) -> None:
        bridge = self._prefix
        run("ip", "link", "add", bridge, "type", "bridge")
        self._stack.callback(_quietly, "ip", "link", "del", bridge)
        run("ip", "addr", "add", f"{self.address}/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for number, machine in enumerate(self.machines):
            self._join(machine, f"{bridge}v{number}")

    def _join(self, machine: Machine, cable: str) -> None:
        inside = ("ip", "-n", machine.name)
        run("ip", "netns", "add", machine.name)
        self._stack.callback(_quietly, "ip", "netns", "del", machine.name)
        run(
            *("ip", "link", "add", cable, "type", "veth"),
            *("peer", "name", "eth0", "netns", machine.name),
        )
        run("ip", "link", "set", cable, "master", self._prefix, "up")
        run(*inside, "addr", "add", f"{machine.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            run(*inside, "link", "set", device, "up")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def _quietly(*command: str) -> None:
    with suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)
