"""A whole Sandgate on a free port and a data directory of its own, as `make run` starts it."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.waiting import until_blocking

READY_SECONDS = 150


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _end_with(parent: int) -> Callable[[], None]:
    """Runs before exec: a killed test run must not leave an installation behind."""

    def before_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


class Installation:
    """One `sandgate serve`; `first` is the content of its first-run.json."""

    def __init__(
        self, data_dir: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
    ) -> None:
        self.data_dir = data_dir
        self._arguments = tuple(arguments)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, port: int = 0) -> None:
        """Start it and wait until it says that it is ready."""
        output = self.data_dir.parent / f"{self.data_dir.name}.out"
        environment = {
            **os.environ,
            **self._environment,
            "SANDGATE_DATA_DIR": str(self.data_dir),
            "GATEWAY_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        with output.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli.main", "serve", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )
        process = self._process

        def settled() -> bool:
            return b"Sandgate is ready" in output.read_bytes() or process.poll() is not None

        try:
            until_blocking(settled, READY_SECONDS)
        finally:
            self.output = output.read_text(errors="replace")
        if process.poll() is not None:
            raise AssertionError(
                f"serve ended with {process.returncode}:\n{self.output}\n{self.logs()}"
            )

    @property
    def runtime(self) -> str:
        """What its settings ask for."""
        return self._environment.get("SANDBOX_RUNTIME", "auto")

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def first(self) -> dict[str, str]:
        """What the first start wrote."""
        value: dict[str, str] = json.loads((self.data_dir / "first-run.json").read_text())
        return value

    @property
    def url(self) -> str:
        """Base address of the public listener."""
        return self.first["base_url"]

    def processes(self) -> dict[str, int]:
        """Process ids of the supervised children by name."""
        found: dict[str, int] = {}
        for child in psutil.Process(self.pid).children():
            try:
                line = child.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if "sandbox.egress.server" in line:
                found["door"] = child.pid
            if "gateway.cli.main" in line and "gateway" in line:
                found[child.environ().get("GATEWAY_NAME", "gateway")] = child.pid
            if "gateway.cli.main" in line and "worker" in line:
                found["worker"] = child.pid
            if "sandbox.server" in line:
                found["manager"] = child.pid
            if line and Path(line[0]).name.startswith("postgres"):
                found["postgres"] = child.pid
        return found

    def kill(self, name: str) -> int:
        """kill -9 one child; answers its process id."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def logs(self, size: int = 3000) -> str:
        """The end of every child's log, for failing tests."""
        parts = []
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            parts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-size:]}")
        return "\n".join(parts)

    def tell(self, number: int) -> None:
        """Tell the supervisor something."""
        os.kill(self.pid, number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as an operator would; answers the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(60)

    @property
    def running(self) -> bool:
        """Whether the supervisor lives."""
        return self._process is not None and self._process.poll() is None

    def client(self, **headers: str) -> httpx.Client:
        """HTTP client on the public listener."""
        return httpx.Client(base_url=self.url, timeout=60, headers=headers, trust_env=False)

    def admin(self) -> httpx.Client:
        """Client of the person made at first start, signed in."""
        with self.client() as client:
            answer = client.post(
                "/auth/v1/token",
                params={"grant_type": "password"},
                json={
                    "email": self.first["admin_email"],
                    "password": self.first["admin_password"],
                },
            )
        answer.raise_for_status()
        return self.client(Authorization=f"Bearer {answer.json()['access_token']}")

    def lift_limits(self, tenant_id: str) -> None:
        """No limits for a tenant."""
        nothing = {"minute": None, "hour": None, "day": None}
        self.set_limits(tenant_id, nothing)

    def set_limits(self, tenant_id: str, limits: Mapping[str, int | None]) -> None:
        """Override a tenant's limits with the admin key."""
        with self.client(Authorization=f"Bearer {self.first['admin_api_key']}") as client:
            answer = client.patch(f"/api/admin/tenants/{tenant_id}", json={"limits": limits})
        assert answer.status_code == 200, answer.text

    def deploy(self, name: str, code: str, **more: Any) -> dict[str, Any]:
        """Create an API; fails the test with the problem when it does not start."""
        with self.admin() as client:
            answer = client.post("/api/apis", json={"name": name, "code": code, **more})
        assert answer.status_code == 201, f"{answer.text}\n{self.logs()}"
        value: dict[str, Any] = answer.json()
        return value


@contextmanager
def installation(*arguments: str, **environment: str) -> Iterator[Installation]:
    """A started installation that is stopped and removed at the end; `arguments` go to serve."""
    folder = Path(tempfile.mkdtemp(prefix="sg-"))
    made = Installation(folder / "data", environment, arguments)
    try:
        made.start()
        yield made
    finally:
        if made.running:
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)
