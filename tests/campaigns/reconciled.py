"""What `sandgate reconcile` says about an installation after a campaign."""

import os
import subprocess
import sys

from tests.support.installation import Installation


def reconciled(made: Installation) -> None:
    """Journal, usage, ledger and counters agree; skipped while there is no such command."""
    command = [sys.executable, "-m", "gateway.cli.main"]
    listed = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    if "reconcile" not in listed.stdout:
        return
    environment = {**os.environ, "SANDGATE_DATA_DIR": str(made.data_dir)}
    done = subprocess.run(
        [*command, "reconcile"], capture_output=True, text=True, check=False, env=environment
    )
    print(done.stdout, flush=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
