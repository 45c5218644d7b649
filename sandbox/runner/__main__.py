"""Entry of the runner: give up root first, then import, warm up and wait for the manager."""

import sys

from . import identity
from .places import Places

_OPTIONS = (
    "--control", "--uid", "--gid", "--orphan-seconds", "--practise", "--layer", "--proxy-port",
)  # fmt: skip
_USAGE = "runner: --control PATH [--uid N --gid N] [--orphan-seconds N] [--practise yes|no]"


def main(arguments: list[str] | None = None) -> int:
    """As `_USAGE` says; the other options are for tests."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    if "--uid" in options or "--gid" in options:
        identity.drop_privileges(int(options["--uid"]), int(options["--gid"]))
    identity.set_dumpable(False)

    from .manager import ORPHAN_SECONDS  # after root is gone: this imports all else
    from .supervisor import Supervisor

    places = Places(options["--control"])
    places = places._replace(
        layer=options.get("--layer", places.layer),
        proxy_port=int(options.get("--proxy-port", places.proxy_port)),
        practises=options.get("--practise") != "no",
    )
    return Supervisor(places, float(options.get("--orphan-seconds", ORPHAN_SECONDS))).run()


def _parse(arguments: list[str]) -> dict[str, str]:
    """Pairs of name and value; argparse would stay in the memory of every sandbox."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown or "--control" not in options or ("--uid" in options) != ("--gid" in options):
        raise SystemExit(_USAGE)
    return options


if __name__ == "__main__":
    sys.exit(main())
