"""
A harness of a real PostgreSQL for the whole session: Debian's programs, on a socket in a folder of its own.

PostgreSQL does not run as root, so its programs run as `nobody` when the tests run as root.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import psycopg
from support.ports import free_port, wait_for_port

from forwarder.settings import Database

HOMES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin") or "pgbouncer"
USER = "forwarder"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    # Nothing here has to outlive the machine, and data survives a kill of the server all the same.
    "fsync": "off",
}


class PostgresServer:
    """One server and its files; a context manager in whose block the server runs."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="forwarder-postgres-"))
        self._settings = {**SETTINGS, **settings}
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._schemas = 0

    def __enter__(self) -> Self:
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._make()
        self.start()
        return self

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        data = str(self._data)
        self._run("initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8")

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        settings = {**self._settings, "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-w", "-o", options, "start")

    def stop(self, *, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    @property
    def is_running(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def signal(self, number: signal.Signals, *, named: str = "") -> None:
        """Signal every process of the server, the first one first, or only those whose titles hold `named`."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        for process in [first, *_children(first)]:
            if named in _title(process):
                with suppress(ProcessLookupError):
                    os.kill(process, number)

    def cpu_seconds(self) -> float:
        """The CPU time of all processes of the server so far (proc_pid_stat(5))."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        ticks = 0
        for process in [first, *_children(first)]:
            with suppress(OSError):
                after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                # The sum includes children that have ended.
                ticks += sum(map(int, after_name[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the server as a power cut does: no process of it does anything more."""
        self.signal(signal.SIGSTOP)
        self.signal(signal.SIGKILL)
        (self._data / "postmaster.pid").unlink()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [HOMES[-1] / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            cwd="/",
        )

    def admit(self, network: str) -> None:
        """Let everybody of a network in; `listen_addresses` has to name an address that they reach."""
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} trust\n")
        self.ask("SELECT pg_reload_conf()")

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """The rows that a superuser's statement returns."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def set(self, name: str, value: str) -> None:
        """Change a setting of the whole server; it is in force on return."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            # The change is local, because it is itself a commit, which would wait for the standby.
            connection.execute("SET synchronous_commit = local")
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        # New sessions show the change once all processes were told; the checkpointer decides what commits wait for.
        while self.ask(f"SHOW {name}") != [(value,)]:
            pass
        self.ask_nothing("CHECKPOINT")

    @contextmanager
    def pooled(self, database: Database, *, mode: str) -> Iterator[Database]:
        """The database through PgBouncer in this mode."""
        schema = parse_qs(urlsplit(database.url).query)["options"][0]
        self.ask_nothing(f"ALTER ROLE {USER} SET search_path = {schema.rpartition('=')[2]}")
        try:
            with PgBouncer(self, mode=mode) as pooler:
                yield Database(pooler.url())
        finally:
            self.ask_nothing(f"ALTER ROLE {USER} RESET search_path")

    def ask_nothing(self, statement: str) -> None:
        """Execute a superuser's statement that returns no rows."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def database(self) -> Database:
        """A database in a new schema without tables."""
        self._schemas += 1
        name = f"test_{self._schemas}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return Database(self.url(options=f"-csearch_path={name}"))

    def url(self, **parameters: str) -> str:
        query = urlencode({"host": str(self.folder), **parameters}, quote_via=quote)
        return f"postgresql://{USER}:swordfish@/postgres?{query}"


class PgBouncer:
    """PgBouncer in front of a server; a test may kill it and start it again. A context manager."""

    def __init__(self, server: PostgresServer, *, mode: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="forwarder-pgbouncer-"))
        self._folder.chmod(0o755)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (self._folder / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host={server.folder} user={USER}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nauth_type = any\npool_mode = {mode}\n"
            "ignore_startup_parameters = options\nunix_socket_dir =\ndefault_pool_size = 50\n"
            "server_reset_query = DISCARD ALL\n"
        )

    def url(self, **parameters: str) -> str:
        query = urlencode(parameters, quote_via=quote)
        return f"postgresql://{USER}:swordfish@127.0.0.1:{self._port}/postgres?{query}"

    def start(self) -> None:
        """Start PgBouncer; return once it listens."""
        self._process = subprocess.Popen(
            [PGBOUNCER, "-q", self._folder / "pgbouncer.ini"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None,
        )
        wait_for_port(self._port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresStandby(PostgresServer):
    """A standby that streams from another server; a context manager, too."""

    NAME = "standby"

    def __init__(self, primary: PostgresServer, **settings: str) -> None:
        super().__init__(**settings)
        self._primary = primary

    def _make(self) -> None:
        source = f"host={self._primary.folder} user={USER} application_name={self.NAME}"
        data = str(self._data)
        self._run("pg_basebackup", "-d", source, "-D", data, "-R", "-c", "fast", "--no-sync")

    def be_waited_for(self) -> None:
        """Make the primary confirm no commit from now on that the standby does not have."""
        self._primary.set("synchronous_standby_names", self.NAME)
        self.until_streaming("sync")

    def until_streaming(self, state: str) -> None:
        look = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = '%s'"
        for _ in range(300):
            if self._primary.ask(look % state) == [(1,)]:
                return
            time.sleep(0.1)
        raise AssertionError(f"the standby is not {state}")

    def promote(self) -> None:
        """Ask until the standby takes writes, because a server that restarts after a crash forgets the request."""
        for _ in range(300):
            with suppress(psycopg.Error):
                if self.ask("SELECT NOT pg_is_in_recovery() OR pg_promote(wait_seconds => 1)")[0][
                    0
                ]:
                    return
            time.sleep(0.1)
        raise AssertionError("the standby was not promoted")


def _children(parent: int) -> list[int]:
    """The processes that this one has started (proc_pid_stat(5))."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = entry.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                found.append(int(entry.parent.name))
    return found


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
