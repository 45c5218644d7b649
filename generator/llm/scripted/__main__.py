"""`python -m generator.llm.scripted`: the scripted model server as a process."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from generator.llm.scripted import Answering, Scenario, scripted
from generator.llm.scripted.demo import Demo, NoLibraryError, shipped
from generator.llm.scripted.scenario import names


def parser() -> argparse.ArgumentParser:
    """What can be asked of the command."""
    made = argparse.ArgumentParser(
        prog="python -m generator.llm.scripted",
        description="A Messages server that says what a scenario tells it to; no model, no key. "
        "Set ANTHROPIC_BASE_URL to its address.",
    )
    made.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    made.add_argument("--port", type=int, default=8790, help="0 takes a free one (%(default)s)")
    made.add_argument(
        "--scenario",
        default="demo",
        metavar="FILE|NAME",
        help="a JSON file, or one of: demo (answers with templates), " + ", ".join(names()),
    )
    made.add_argument(
        "--compatible",
        action="store_true",
        help="take only what a local endpoint takes: no counting, caching, forms or strict tools",
    )
    made.add_argument("--pace", type=float, default=0.0, help="seconds between two events (0)")
    return made


def answering(name: str) -> Answering:
    """The scenario of this name; ends the command when there is none."""
    try:
        return Demo(shipped()) if name == "demo" else Scenario.load(name)
    except (NoLibraryError, OSError, ValueError) as error:
        what = f"{error.error_count()} faults" if isinstance(error, ValidationError) else error
        raise SystemExit(f"scenario {name}: {what}") from None


async def serve(options: argparse.Namespace) -> None:
    """Until it is told to end."""
    done = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    async with scripted(
        answering(options.scenario),
        compatible=options.compatible,
        host=options.host,
        port=options.port,
        pace=options.pace,
    ) as base_url:
        sys.stdout.write(f"ANTHROPIC_BASE_URL={base_url}\n")
        sys.stdout.flush()
        await done.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    asyncio.run(serve(parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
