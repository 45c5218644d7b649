"""The embedded Postgres: one cluster in the data directory, one server as a child of ours."""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import asyncpg

from gateway.store import binaries
from gateway.store.binaries import PostgresStartError, ServiceUser
from gateway.store.processes import IS_LINUX, die_with_parent, process_state

SUPERUSER = "supabase_admin"
SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_DIR_BYTES = 90  # the whole socket path may have about 107
_LOG_BYTES = 8 * 1024 * 1024
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """Owns the server while it holds `pg.lock`; otherwise uses the server of who does.

    The server dies with the process that started it, `kill -9` included. `start` must be
    called from the main thread: the kernel ties the child's life to the thread that forks.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._data = data_dir.absolute()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._cluster = self._data / "pg"
        self._log = self._data / "logs" / "postgres.log"
        self._user = ServiceUser.current()
        self._programs: Path | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        """Directory of the server's socket: the cluster's own, or a short private one."""
        if len(os.fsencode(self._cluster)) <= _SOCKET_DIR_BYTES:
            return self._cluster
        name = hashlib.sha256(os.fsencode(self._cluster)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sandgate-{name}-pg"

    @property
    def pid(self) -> int | None:
        """Process id of the server while it is ours and runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def owner(self) -> bool:
        """Whether this object holds the right to run the server."""
        return self._lock is not None

    def dsn(self, role: str, database: str = "postgres") -> str:
        """Connection address for one role; nothing but the socket's directory protects it."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    async def start(self, seconds: float = 30) -> None:
        """Return once a server answers; starts one when nobody else does. Safe to repeat."""
        deadline = time.monotonic() + seconds
        try:
            await self._start(deadline)
        except OSError as error:
            self._release()
            raise PostgresStartError(_advice(error, self._data)) from error
        except BaseException:
            if self.pid is None:
                self._release()
            raise

    async def wait_exit(self) -> int | None:
        """Wait until the server is gone; its exit code when it was ours."""
        while (process := self._process) is None:
            if self._take_lock():
                return None
            await asyncio.sleep(0.5)
        while True:
            if (code := process.poll()) is not None:
                return code
            await asyncio.sleep(0.05)

    async def outlive(self, seconds: float = 30) -> None:
        """Return once no server runs here whose starter died."""
        await self._end_predecessor(time.monotonic() + seconds)

    async def stop(self) -> None:
        """Stop our server cleanly, harder when it does not obey; then give up ownership."""
        if self._lock is None:
            return
        for step, seconds in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            if (pid := self.pid) is None:
                break
            os.kill(pid, step)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait_exit(), seconds)
        self._process = None
        self._clean_up()
        self._release()

    # --- starting -------------------------------------------------------------------------

    async def _start(self, deadline: float) -> None:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        while not self._take_lock():
            if await self._answers():
                return
            await _pause(deadline, "Another process holds pg.lock, but its server never answered.")
        while self.pid is not None:  # runs already, or is just ending
            if await self._answers():
                return
            await _pause(deadline, f"Postgres runs but does not answer.\n{self.log_tail()}")
        self._programs = await asyncio.to_thread(self._find_programs)
        await asyncio.to_thread(self._ensure_cluster)
        self._ensure_socket_dir()
        self._user.open_to_gateway(self.socket_dir)
        await self._end_predecessor(deadline)
        await self._run(deadline)

    def _find_programs(self) -> Path:
        source = binaries.installed()
        if not self._user.switched or binaries.runnable(source, self._user):
            return source
        return binaries.reachable_copy(source)

    def _program(self, name: str) -> str:
        assert self._programs is not None
        return str(self._programs / "bin" / name)

    def _ensure_cluster(self) -> None:
        """Create the cluster beside its place and rename it, so that it is whole or absent."""
        version = self._cluster / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            return
        if self._cluster.exists():
            raise PostgresStartError(
                f"{self._cluster} is not a Postgres cluster; move it away and start again."
            )
        fresh = self._cluster.with_name("pg.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._user.own(fresh)
        command = [self._program("initdb"), "-D", self._seen(fresh), "-U", SUPERUSER]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        done = subprocess.run(
            command, cwd=fresh, capture_output=True, check=False, timeout=120, **self._user.popen
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise PostgresStartError(
                f"initdb failed: {done.stderr.decode(errors='replace')[-800:]}"
            )
        fresh.rename(self._cluster)

    def _check_version(self, cluster: str) -> None:
        answer = subprocess.run(
            [self._program("postgres"), "--version"],
            cwd="/",
            capture_output=True,
            check=True,
            timeout=20,
            **self._user.popen,
        )
        program = answer.stdout.decode().split()[-1].partition(".")[0]
        if program != cluster:
            raise PostgresStartError(
                f"{self._cluster} was made by Postgres {cluster}, the installed one is {program}. "
                f"Install the package with Postgres {cluster}, dump, and restore into a new one."
            )

    def _ensure_socket_dir(self) -> None:
        folder = self.socket_dir
        if folder == self._cluster:
            return
        try:
            folder.mkdir(mode=0o700)
            self._user.own(folder)
        except FileExistsError:
            found = folder.lstat()
            if folder.is_symlink() or found.st_uid != self._user.uid or found.st_mode & 0o67:
                raise PostgresStartError(
                    f"{folder} exists and is not private; remove it."
                ) from None

    def _seen(self, folder: Path) -> str:
        """How the server names its working directory.

        A server that runs as another user may be unable to walk there (a checkout below a
        home of mode 0700); the kernel's own link to the working directory needs no walk.
        """
        return "/proc/self/cwd" if self._user.switched and IS_LINUX else str(folder)

    async def _end_predecessor(self, deadline: float) -> None:
        """A server whose starter died is on its way out: wait, insist, and drop a dead one's pid.

        A zombie counts as running for Postgres, hence the files of one are removed here.
        """
        pid_file = self._cluster / "postmaster.pid"
        insist = time.monotonic() + 5
        while (pid := _recorded_pid(pid_file)) is not None:
            state = process_state(pid)
            if state == "gone":
                return
            if state != "postgres":
                pid_file.unlink(missing_ok=True)
                (self.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
                return
            if time.monotonic() > insist:
                os.kill(pid, signal.SIGQUIT)
                insist = time.monotonic() + 5
            await _pause(deadline, f"An older Postgres (process {pid}) does not end.")

    async def _run(self, deadline: float) -> None:
        while True:
            self._process = self._spawn()
            while self._process.poll() is None:
                if await self._answers():
                    return
                await _pause(deadline, f"Postgres does not answer.\n{self.log_tail()}")
            tail = self.log_tail()
            self._process = None
            # children of a killed server hold its shared memory for a moment longer
            if "shared memory block" not in tail and "is another postmaster" not in tail:
                raise PostgresStartError(f"Postgres ended at once.\n{tail}")
            await _pause(deadline, f"An older Postgres does not let go.\n{tail}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {**self._user.socket_settings, **self._settings}
        own = self.socket_dir == self._cluster
        options["unix_socket_directories"] = "." if own else str(self.socket_dir)
        command = [self._program("postgres"), "-D", self._seen(self._cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        too_long = self._log.exists() and self._log.stat().st_size > _LOG_BYTES
        with self._log.open("wb" if too_long else "ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._cluster,
                stdout=log,
                stderr=log,
                process_group=0,  # a terminal's Ctrl-C is the supervisor's to order
                preexec_fn=die_with_parent(os.getpid()),
                **self._user.popen,
            )

    # --- small parts ----------------------------------------------------------------------

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(
                host=str(self.socket_dir), user=SUPERUSER, database="postgres", timeout=2
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close(timeout=2)
        return True

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        handle = os.open(self._data / "pg.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _clean_up(self) -> None:
        if self.socket_dir != self._cluster:
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    def log_tail(self) -> str:
        """The last that the server said."""
        try:
            return self._log.read_text(errors="replace")[-1200:]
        except FileNotFoundError:
            return ""


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text().split("\n", 1)[0]
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


async def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise PostgresStartError(complaint)
    await asyncio.sleep(0.03)


def _advice(error: OSError, data_dir: Path) -> str:
    """The failure in words, with what to do."""
    if error.errno == errno.ENOSPC:
        return f"The disk of {data_dir} is full; free some space and start again."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{error.filename or data_dir} cannot be written ({error.strerror}); "
            "set SANDGATE_DATA_DIR to a writable directory."
        )
    return f"{error.filename or data_dir}: {error.strerror or error}"
