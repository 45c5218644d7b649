"""A data directory with one person in its database, and commands that are run on copies of it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.secrets import load_or_create_secrets
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from tests.support.factories import Person, make_user

_ROOT = Path(__file__).parents[2]
UPLOAD = "uploads/ab/abcd"
SEGMENT = "journal/1-1-a.jsonl"


def make_small_installation(data_dir: Path, content: bytes) -> Person:
    """Stopped, and known again by `content`."""
    for name in (UPLOAD, SEGMENT):
        (data_dir / name).parent.mkdir(parents=True)
    (data_dir / UPLOAD).write_bytes(content)
    (data_dir / SEGMENT).write_text('{"whole": 1}\n')
    load_or_create_secrets(data_dir)
    (data_dir / "first-run.json").write_text("{}")

    async def make() -> Person:
        server = EmbeddedPostgres(data_dir, settings={"fsync": "off"})
        await server.start()
        try:
            await migrate(server.socket_dir)
            return await make_user(server.dsn("postgres"))
        finally:
            await server.stop()

    return asyncio.run(make())


def copied(data_dir: Path, target: Path) -> Path:
    """The same again, owners included."""
    subprocess.run(["cp", "-a", str(data_dir), str(target)], check=True)
    return target


def tree(folder: Path) -> dict[str, bytes]:
    """What is in it, but for what every start of Postgres leaves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in sorted(folder.rglob("*"))
        if path.parts[-2] != "logs" and path.suffix != ".lock" and path.name != "logs"
    }


@dataclass(frozen=True, slots=True)
class Commands:
    """`sandgate …` on one data directory, in processes of their own."""

    data_dir: Path

    def run(self, *arguments: str) -> str:
        """It succeeds; answers what it said."""
        done = self._run("gateway.cli.main", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """It fails with one line; answers that."""
        done = self._run("gateway.cli.main", *arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("sandgate: "), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def killed(self, moment: str, *arguments: str, nth: int = 1) -> str:
        """SIGKILL ends it right before this moment; answers what it said until then."""
        done = self._run("tests.support.dying", moment, str(nth), *arguments)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SANDGATE_DATA_DIR": str(self.data_dir)}
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def forget_installation(folder: Path) -> None:
    """Remove it with what commands left beside it."""
    shutil.rmtree(folder, ignore_errors=True)
