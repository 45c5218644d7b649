"""The command that asks one thing."""

import asyncio
from pathlib import Path

import pytest

from generator.llm.__main__ import ask, main, parser
from generator.llm.scripted import Asked, Scenario, scripted


async def asked(*more: str) -> Asked:
    """The request that the command sends."""
    seen: list[Asked] = []
    async with scripted(Scenario.load("polite"), seen=seen, compatible=True) as base_url:
        await ask(parser().parse_args(["Hello?", "--base-url", base_url, *more]))
    return seen[-1]


async def test_it_writes_the_answer_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    request = await asked("--model", "qwen")
    assert capsys.readouterr().out == "Yes, of course."
    assert (request.model, request.last) == ("qwen", "Hello?")


async def test_the_key_comes_out_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-mine\n")
    request = await asked("--model", "m", "--key-file", str(file))
    assert request.headers["authorization"] == "Bearer sk-mine"


def test_what_is_missing_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"model_misconfigured: .*ANTHROPIC_API_KEY"):
        main(["Hello?"])
    assert capsys.readouterr().out == ""


def test_a_key_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"failed: .*none"):
        main(["Hello?", "--key-file", str(tmp_path / "none")])


def test_the_whole_command_tells_what_it_cost(capsys: pytest.CaptureFixture[str]) -> None:
    async def serve() -> None:
        async with scripted(Scenario.load("polite"), compatible=True) as base_url:
            await asyncio.to_thread(main, ["Hello?", "--base-url", base_url, "--model", "qwen"])

    asyncio.run(serve())
    assert "qwen: " in capsys.readouterr().err
