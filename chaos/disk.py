"""Small file systems of the suite's own: they fill up, fail, and lose their power. They need root and mount(2)."""

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2
"""Without writing the journal: what the page cache holds is gone (Linux, include/uapi/linux/ext4.h)."""


class NotPermitted(Exception):
    """This machine does not let us do what a scenario needs; the message says why."""


def require(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise NotPermitted(f"{program} is not installed")
    return found


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise NotPermitted(f"{' '.join(command)}: {finished.stderr.strip()}")


class Mount:
    """A file system mounted on `folder`; a context manager."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options

    def mount(self) -> None:
        self.folder.mkdir(exist_ok=True)
        _run(require("mount"), *self._options, str(self.folder))

    def remount(self, options: str) -> None:
        """Change size or mode while it is in use."""
        _run(require("mount"), "-o", f"remount,{options}", str(self.folder))

    def unmount(self) -> None:
        _run(require("umount"), str(self.folder))

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NotPermitted("mounting needs root")
        self.mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Lazily: what failed inside may have left somebody with a file open.
        _run(require("umount"), "-l", str(self.folder))


def small_disk(folder: Path, *, kilobytes: int) -> Mount:
    """A tmpfs of that size, which `remount("size=…")` changes."""
    return Mount(folder, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")


class Disk(Mount):
    """An ext4 file system on a loop device, whose power can be cut."""

    def __init__(self, folder: Path, *, image: Path, megabytes: int) -> None:
        super().__init__(folder, "-o", "loop", str(image))
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run(require("mkfs.ext4"), "-q", str(image))

    def cut_power(self) -> None:
        """
        Fail everything from this instant on, and keep of it only what had reached the device.

        What the page cache and the journal's memory held is lost with it; `unmount` and `mount` are the reboot.
        """
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(descriptor)
