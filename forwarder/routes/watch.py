"""
The watch notices edits of the routing file, and of every file that it names, by looking.

Looking works where notifications do not: ConfigMaps that swap a symbolic link, editors that rename, NFS, bind mounts.
"""

import threading
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

from forwarder.clock import Clock
from forwarder.files import printable
from forwarder.routes.diff import RoutesDiff, diff
from forwarder.routes.files import NOT_LOOKED_AT, Seen, Wanted, look, sign
from forwarder.routes.load import Load, read_routes
from forwarder.routes.model import Routes
from forwarder.routes.problems import Rejection
from forwarder.settings.env_file import EnvFile
from forwarder.settings.environment import ENV_LIMIT, env_file_of

LOOK_EVERY_SECONDS = 0.5
"""The time between two calls of `check`. An edit then takes effect within 2 s."""

_STILL_SECONDS = 0.3  # a file may be half-written: its content has to stay the same for so long
_RESTLESS_SECONDS = 1.0  # a file that never keeps still is read after so long all the same
_PATIENCE_SECONDS = 0.9  # a wrong file has so long to become right before it is called wrong
_YOUNG_SECONDS = 3.0  # a younger file's time stamps may be too coarse to show a second write


@dataclass(frozen=True, slots=True)
class Applied:
    """These routes hold from now on."""

    routes: Routes
    diff: RoutesDiff


@dataclass(frozen=True, slots=True)
class Rejected:
    """The files are wrong, and the last good routes stay."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The files are good and change nothing. An earlier rejection is over."""


Reload: TypeAlias = Applied | Rejected | Unchanged

_Digests: TypeAlias = Mapping[Wanted, bytes]


@dataclass(frozen=True, slots=True)
class _Noticed:
    """Content that differs from what was loaded last (monotonic seconds)."""

    digests: _Digests
    since: float
    """When the files first looked so."""
    restless_since: float
    """When the files first differed from those that were loaded."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed load, and the time of the first failure in a row (monotonic seconds)."""

    rejection: Rejection
    since: float


class RoutesFile:
    """
    The routing file of a running service.

    Call `load` once, then `check` every LOOK_EVERY_SECONDS. Both belong in a thread, because they block on files and
    parse. Several threads may call them. Neither changes anything else: the caller puts Applied routes to use.

    `env:` looks into `environ`, then into `env_file`, which is read anew with each load and watched like the rest.
    """

    def __init__(
        self,
        path: Path,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        env_file: Path | None = None,
        secrets_dir: Path | None = None,
    ) -> None:
        self._path = path
        self._environ = environ
        self._env_file = env_file
        self._secrets_dir = secrets_dir
        self._clock = clock
        # One look at a time, because each compares the files with what the look before it found.
        self._lock = threading.Lock()
        self._routes: Routes | None = None
        self._seen: dict[Wanted, Seen] = {}
        self._noticed: _Noticed | None = None
        self._failure: _Failure | None = None

    def load(self) -> Routes:
        """The routes as they are now. Raises RoutesError with every problem."""
        with self._lock:
            self._routes = self._read().require()
            return self._routes

    def check(self, *, force: bool = False) -> Reload | None:
        """
        The outcome of an edit, told once when the edit is settled; None while there is nothing to tell.

        `force` reads the files now, whether they changed or not, and tells the outcome at once (SIGHUP).
        """
        with self._lock:
            if force:
                return self._reload(patience_seconds=0.0)
            digests = self._look()
            if NOT_LOOKED_AT in digests.values():
                return None
            if digests == _digests(self._seen):
                self._noticed = None
                return self._overdue()
            if self._has_settled(digests):
                return self._reload(patience_seconds=_PATIENCE_SECONDS)
            return None

    def twin(self) -> Self:
        """A copy with all that is known of the files, for a look beside one that may never end."""
        twin = copy(self)
        # A lock of its own, because the look that hangs holds ours.
        twin._lock = threading.Lock()  # noqa: SLF001 - a twin is one of us
        return twin

    def _look(self) -> _Digests:
        """The digest of every file of the last load. Only a file that may have changed is read."""
        now = self._clock.unix()
        fresh = {}
        for wanted, seen in self._seen.items():
            signature = sign(wanted.path)
            if signature == seen.signature and not _is_young(signature, now):
                fresh[wanted] = seen.digest
            else:
                fresh[wanted] = look(wanted)[0].digest
        return fresh

    def _has_settled(self, digests: _Digests) -> bool:
        now = self._clock.monotonic()
        noticed = self._noticed
        if noticed is None or noticed.digests != digests:
            restless_since = noticed.restless_since if noticed else now
            noticed = self._noticed = _Noticed(digests, now, restless_since)
        is_still = now - noticed.since >= _STILL_SECONDS
        return is_still or now - noticed.restless_since >= _RESTLESS_SECONDS

    def _reload(self, *, patience_seconds: float) -> Reload | None:
        known = self._seen
        read = self._read()
        if NOT_LOOKED_AT in _digests(self._seen).values():
            self._seen = known  # the edit is noticed again, once the files can be read
            return None
        if isinstance(read.outcome, Rejection):
            since = self._failure.since if self._failure else self._clock.monotonic()
            self._failure = _Failure(read.outcome, since)
            return self._overdue(patience_seconds=patience_seconds)
        self._failure = None
        change = diff(self._routes, read.outcome)
        self._routes = read.outcome
        return Applied(read.outcome, change) if change else Unchanged()

    def _overdue(self, *, patience_seconds: float = _PATIENCE_SECONDS) -> Rejected | None:
        failure = self._failure
        if failure is None or self._clock.monotonic() - failure.since < patience_seconds:
            return None
        self._failure = None
        return Rejected(failure.rejection)

    def _read(self) -> Load:
        env_file, seen = self._read_env_file()
        environ = {**env_file.values, **self._environ}
        read = read_routes(self._path, environ=environ, secrets_dir=self._secrets_dir)
        self._seen = {**read.seen, **seen}
        self._noticed = None
        if wrong := env_file.problems:
            return replace(read, outcome=Rejection(wrong, len(wrong), printable(self._env_file)))
        return read

    def _read_env_file(self) -> tuple[EnvFile, dict[Wanted, Seen]]:
        if self._env_file is None:
            return EnvFile(), {}
        wanted = Wanted(self._env_file, ENV_LIMIT)
        seen, content = look(wanted)
        return env_file_of(self._env_file, content), {wanted: seen}


def _digests(seen: Mapping[Wanted, Seen]) -> _Digests:
    return {wanted: file.digest for wanted, file in seen.items()}


def _is_young(signature: tuple[int, ...], now: float) -> bool:
    """Whether the file changed so lately that its time stamps could hide another change (as git's index does)."""
    return bool(signature) and abs(now - signature[3] / 1e9) < _YOUNG_SECONDS
