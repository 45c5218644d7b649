"""`sandgate …` in a process that ends itself by SIGKILL, right before one moment of its work.

`python -m tests.support.dying MOMENT NTH ARGUMENT…`: MOMENT is a pattern over Python's audit
events (`os.rename …`, `open …`, `subprocess.Popen …`), the NTH event that fits is the last.
"""

import os
import re
import signal
import sys
from collections.abc import Callable


def before(moment: str, nth: int) -> Callable[[str, tuple[object, ...]], None]:
    """A hook that lets so many events less one pass."""
    fits, left = re.compile(moment), nth

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if fits.search(f"{event} {arguments}"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


if __name__ == "__main__":
    from gateway.cli.main import main

    pattern, number = sys.argv[1:3]
    sys.argv[1:3] = []
    sys.addaudithook(before(pattern, int(number)))
    main()
