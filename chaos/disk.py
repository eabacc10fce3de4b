"""Small file systems of the suite's own: they fill up, fail, and lose their power. They need root and mount(2)."""

import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2
"""Without writing the journal (Linux, include/uapi/linux/ext4.h)."""


class NotPermitted(Exception):
    """This machine does not let us do what a scenario needs; the message says why."""


def require(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise NotPermitted(f"{program} is not installed")
    return found


def run(*command: str) -> str:
    """What it printed."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise NotPermitted(f"{' '.join(command)}: {finished.stderr.strip()}")
    return finished.stdout.strip()


class Mount:
    """A file system mounted on `folder`; a context manager."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options

    def mount(self) -> None:
        self.folder.mkdir(exist_ok=True)
        run(require("mount"), *self._options, str(self.folder))

    def remount(self, options: str) -> None:
        """Change size or mode while it is in use."""
        run(require("mount"), "-o", f"remount,{options}", str(self.folder))

    def unmount(self) -> None:
        run(require("umount"), str(self.folder))

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
        run(require("umount"), "-l", str(self.folder))


def fill_up(folder: Path) -> Path:
    """Take the last byte that there is; removing the file that is returned gives it back."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def small_disk(folder: Path, *, kilobytes: int) -> Mount:
    """A tmpfs of that size, which `remount("size=…")` changes."""
    return Mount(folder, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")


class Disk(Mount):
    """An ext4 file system on a loop device, whose power can be cut, and which can be told to fail."""

    def __init__(self, folder: Path, *, image: Path, megabytes: int) -> None:
        super().__init__(folder)
        self._image = image
        self._device = ""
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        run(require("mkfs.ext4"), "-q", str(image))

    def mount(self) -> None:
        # Direct I/O: what the file behind the device holds is what has reached the device, and nothing else.
        self._device = run(
            require("losetup"), "--find", "--show", "--direct-io=on", str(self._image)
        )
        self._options = (self._device,)
        super().mount()

    def unmount(self) -> None:
        super().unmount()
        self._detach()

    def _detach(self) -> None:
        run(require("losetup"), "--detach", self._device)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._detach()

    def cut_power(self) -> Path:
        """
        A copy of the device as of this instant: what the page cache and the journal's memory hold is not in it.

        From the same instant on everything fails, so that the copy is of one moment.
        """
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(descriptor)
        return Path(shutil.copyfile(self._image, self._image.with_suffix(".cut")))

    def boot(self, image: Path) -> None:
        """Mount a device as it was copied, in the place of the present one; nobody may use that any more."""
        self.unmount()
        image.replace(self._image)
        self.mount()

    def abort(self) -> None:
        """
        Make it read-only under whoever is writing, as ext4 does after an error of the device; `unmount` ends it.

        A plain remount is refused (EBUSY) while a file is open for writing, and an aborted one never writes again.
        """
        self.remount("abort")
