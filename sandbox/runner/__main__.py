"""Entry of the runner: give up root first, then import, warm up and wait for the manager."""

import argparse
import sys

from . import identity
from .places import PROXY_PORT, Places


def main(arguments: list[str] | None = None) -> int:
    """`--control PATH [--uid N --gid N]`; the other options are for tests."""
    parser = argparse.ArgumentParser(prog="runner")
    parser.add_argument("--control", required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--layer", default="/layer")
    parser.add_argument("--proxy-port", type=int, default=PROXY_PORT)
    options = parser.parse_args(arguments)
    if options.uid is not None or options.gid is not None:
        if options.uid is None or options.gid is None:
            parser.error("--uid and --gid belong together")
        identity.drop_privileges(options.uid, options.gid)
    identity.set_dumpable(False)

    from .supervisor import Supervisor  # after root is gone: this imports all else

    return Supervisor(Places(options.control, options.layer, options.proxy_port)).run()


if __name__ == "__main__":
    sys.exit(main())
