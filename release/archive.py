"""Archives whose bits follow from their content: sorted, of one time, owned by nobody."""

import gzip
import io
import tarfile
from pathlib import Path


def repacked(sdist: bytes, *, epoch: int) -> bytes:
    """The same files under the same names in a .tar.gz that says nothing of who made it, and when."""
    with tarfile.open(fileobj=io.BytesIO(sdist), mode="r:gz") as packed:
        files = {
            member.name: _content(packed, member)
            for member in packed.getmembers()
            if member.isfile()
        }
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, epoch
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=epoch)


def _content(packed: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[bytes, int]:
    file = packed.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no file")
    return file.read(), 0o755 if member.mode & 0o100 else 0o644


def unpack(archive: bytes, folder: Path) -> None:
    """Put the files there, readable by all and writable by their owner, whatever the umask is."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
