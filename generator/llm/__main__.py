"""`python -m generator.llm`: ask a model one thing, to see that key, address and name are right."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from generator.llm.anthropic import AnthropicModel
from generator.llm.base import Answer, Prompt, Purse, Turn
from generator.llm.endpoint import Endpoint
from generator.llm.settings import OWN_ADDRESS, ModelSettings
from generator.types import GeneratorError

NANO = 10**9


def parser() -> argparse.ArgumentParser:
    """What can be asked of the command."""
    made = argparse.ArgumentParser(prog="python -m generator.llm", description=__doc__)
    made.add_argument("text", help="what to ask")
    made.add_argument("--base-url", default=OWN_ADDRESS, help="(default: %(default)s)")
    made.add_argument("--model", default="", help="(default: the one that chats)")
    made.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="holds the key (/dev/stdin: standard input); arguments could be read by others",
    )
    made.add_argument("--cap", type=float, default=0.05, help="most USD to spend (%(default)s)")
    return made


async def ask(options: argparse.Namespace) -> Answer:
    """Write the answer as it comes."""
    key = options.key_file.read_text().strip() if options.key_file is not None else ""
    settings = ModelSettings(key, options.base_url, options.model)
    prompt = Prompt("chat", "Answer in a few sentences.", (Turn("user", options.text),))
    answer: Answer | None = None
    async with Endpoint(settings) as endpoint:
        model = AnthropicModel(endpoint, Purse(int(options.cap * NANO)))
        async with aclosing(model.stream(prompt)) as parts:
            async for part in parts:
                if isinstance(part, Answer):
                    answer = part
                else:
                    sys.stdout.write(part)
                    sys.stdout.flush()
    if answer is None:
        raise GeneratorError("There was no answer.")
    return answer


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    try:
        answer = asyncio.run(ask(options))
    except (GeneratorError, OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{getattr(error, 'code', 'failed')}: {error}") from None
    used, cost = answer.usage, answer.nano_usd / NANO
    read = used.input + used.cache_read + used.cache_write_5m + used.cache_write_1h
    sys.stdout.write("\n")
    sys.stderr.write(f"{answer.model}: {read} tokens read, {used.output} written, {cost:.6f} USD\n")


if __name__ == "__main__":
    main()
