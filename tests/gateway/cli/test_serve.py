"""What `serve` does about signals, from its first moment on."""

import signal
import subprocess
import sys
from pathlib import Path

STARTING = """
import asyncio
from gateway.cli import serve
from gateway.settings import Settings

async def starting(*_):
    print("starting", flush=True)
    await asyncio.sleep(600)

serve._serve = starting
asyncio.run(serve.serve(Settings()))
"""


def test_a_reload_asked_for_while_it_starts_does_not_end_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTING],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        process.send_signal(signal.SIGHUP)
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert "stopped" in said
    assert process.returncode == 0
