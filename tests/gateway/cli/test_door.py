"""The command that runs the door alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.paths import RunPaths, runtime_dir
from tests.support.managing import short_directory
from tests.support.waiting import until_blocking

ROOT = Path(__file__).parents[3]


def test_the_command_becomes_the_door_and_keeps_no_secret() -> None:
    with short_directory() as directory:
        environment = {
            "PATH": os.defpath,
            "SANDGATE_DATA_DIR": str(directory),
            "ADMIN_API_KEY": "k" * 40,
            "EGRESS_NAMESERVERS": "127.0.0.1:5353, [::1]:53",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "door", "--client-uid", "4711"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
        )
        try:
            paths = RunPaths(runtime_dir(directory))
            until_blocking(paths.door_socket.exists, 60)
            running = Path(f"/proc/{process.pid}")
            words = (running / "cmdline").read_bytes().split(b"\0")
            assert b"sandbox.egress.server" in words
            assert words[words.index(b"--client-uid") + 1] == b"4711"
            assert words.count(b"--nameserver") == 2
            assert b"ADMIN_API_KEY" not in (running / "environ").read_bytes()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert not paths.door_socket.exists()
        finally:
            process.kill()
            process.communicate()
