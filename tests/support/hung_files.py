"""A real file system that stops answering, as NFS does without its server: a thread of ours speaks FUSE."""

import ctypes
import errno
import os
import select
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path

_MNT_DETACH = 2
_ROOT = 1


class _Operation(IntEnum):
    """The kernel's requests (Linux, include/uapi/linux/fuse.h, like all layouts here)."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    INIT = 26
    INTERRUPT = 36
    BATCH_FORGET = 42


_NO_ANSWER = (_Operation.FORGET, _Operation.BATCH_FORGET)
_DIRECT_IO = 1
_LONGEST_REQUEST = 1 << 20
_LOOK_SECONDS = 0.05
_libc = ctypes.CDLL(None, use_errno=True)


class HungFiles:
    """
    A folder of files that another process may read; this process must not touch them by their path.

    A process that looks at a file while it hangs waits for a signal, as with NFS, or for `answer_late`.
    """

    def __init__(self, folder: Path, device: int) -> None:
        self.folder = folder
        self._hangs = False
        self.unanswered: list[bytes] = []
        """Requests that wait since the files hang."""
        self._device = device
        self._files: dict[str, tuple[bytes, int]] = {}
        self._is_over = threading.Event()
        self._server = threading.Thread(target=self._serve, daemon=True)

    def write(self, name: str, text: str) -> Path:
        self._files[name] = (text.encode(), time.time_ns())
        return self.folder / name

    def hang(self) -> None:
        self.unanswered.clear()
        self._hangs = True

    def answer_anew(self) -> None:
        """Answer new requests from now on; those that wait still wait."""
        self._hangs = False

    def answer_late(self) -> None:
        """Answer new requests and those that wait."""
        self._hangs = False
        for request in self.unanswered:
            self._answer(request)

    def start(self) -> None:
        self._server.start()

    def end(self) -> None:
        """End the file system; requests that wait get an error."""
        self._is_over.set()
        self._server.join()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            if select.select([self._device], [], [], _LOOK_SECONDS)[0]:
                with suppress(OSError):  # the asking process has gone, or all is unmounted
                    self._answer(os.read(self._device, _LONGEST_REQUEST))

    def _answer(self, request: bytes) -> None:
        _, operation, unique, node = struct.unpack_from("=IIQQ", request)
        body = request[40:]
        if operation == _Operation.INTERRUPT:
            self._reply(*struct.unpack_from("=Q", body), error=errno.EINTR)
        elif self._hangs and operation not in _NO_ANSWER:
            self.unanswered.append(request)
        elif operation not in _NO_ANSWER:
            try:
                self._reply(unique, self._answered(operation, node, body))
            except OSError as refused:
                self._reply(unique, error=refused.errno or errno.EIO)

    def _reply(self, unique: int, answer: bytes = b"", *, error: int = 0) -> None:
        with suppress(FileNotFoundError):  # it has been answered already
            os.write(self._device, struct.pack("=IiQ", 16 + len(answer), -error, unique) + answer)

    def _answered(self, operation: int, node: int, body: bytes) -> bytes:
        match operation:
            case _Operation.INIT:
                return struct.pack("=IIIIHHIIHHI28x", 7, 31, 1 << 16, 0, 8, 8, 1 << 16, 1, 0, 0, 0)
            case _Operation.LOOKUP:
                found = self._node_of(body.rstrip(b"\0").decode())
                return struct.pack("=QQQQII", found, 0, 0, 0, 0, 0) + self._attributes(found)
            case _Operation.GETATTR:
                return struct.pack("=QII", 0, 0, 0) + self._attributes(node)
            case _Operation.OPEN:
                return struct.pack("=QII", 0, _DIRECT_IO, 0)
            case _Operation.READ:
                _, offset, size = struct.unpack_from("=QQI", body)
                return self._content_of(node)[0][offset : offset + size]
            case _:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _node_of(self, name: str) -> int:
        names = list(self._files)
        if name not in names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return _ROOT + 1 + names.index(name)

    def _content_of(self, node: int) -> tuple[bytes, int]:
        return list(self._files.values())[node - _ROOT - 1]

    def _attributes(self, node: int) -> bytes:
        if node == _ROOT:
            content, changed_at, mode = b"", 0, stat.S_IFDIR | 0o755
        else:
            (content, changed_at), mode = self._content_of(node), stat.S_IFREG | 0o644
        seconds, rest = divmod(changed_at, 10**9)
        times = (seconds, seconds, seconds, rest, rest, rest)
        return struct.pack(
            "=QQQ QQQ III IIIIIII",
            *(node, len(content), 1),
            *times,
            *(mode, 1, os.geteuid(), os.getegid(), 0, 4096, 0),
        )


@contextmanager
def hung_files(folder: Path) -> Iterator[HungFiles | None]:
    """Such files, mounted at the folder; None if nothing may be mounted, without root or /dev/fuse."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        yield None
        return
    try:
        if not _is_mounted(folder, device):
            yield None
            return
        files = HungFiles(folder, device)
        files.start()
        try:
            yield files
        finally:
            _libc.umount2(os.fsencode(folder), _MNT_DETACH)
            files.end()
    finally:
        os.close(device)


def _is_mounted(folder: Path, device: int) -> bool:
    folder.mkdir()
    options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    failed: int = _libc.mount(b"test", os.fsencode(folder), b"fuse", 0, options.encode())
    return not failed
