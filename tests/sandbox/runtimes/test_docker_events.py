"""Which of the engine's events are about a sandbox, and what is said when there is no engine."""

import gc
from pathlib import Path
from typing import Any

import pytest

from sandbox.runtimes.docker_events import Event, make_client, parse_event


def raw(action: str, **labels: str) -> dict[str, Any]:
    return {"Type": "container", "Action": action, "Actor": {"Attributes": labels}}


@pytest.mark.parametrize("kind", ["die", "oom", "destroy"])
def test_ends_of_a_sandbox_are_events(kind: str) -> None:
    assert parse_event(raw(kind, **{"sandgate.sandbox": "s1"})) == Event(kind, "s1")


@pytest.mark.parametrize(("text", "code"), [("159", 159), ("-1", None), ("", None)])
def test_the_exit_code_comes_along(text: str, code: int | None) -> None:
    event = parse_event(raw("die", **{"sandgate.sandbox": "s1", "exitCode": text}))
    assert event is not None
    assert event.exit_code == code


def test_containers_of_others_are_none() -> None:
    assert parse_event(raw("die", name="web")) is None


def test_other_news_of_a_sandbox_are_none() -> None:
    assert parse_event(raw("start", **{"sandgate.sandbox": "s1"})) is None


def test_news_without_an_actor_are_none() -> None:
    assert parse_event({"Action": "die"}) is None


def test_an_engine_that_is_not_there_is_named_and_leaves_no_socket_open(tmp_path: Path) -> None:
    """The client forgets one that it could not connect, which is an error in these tests."""
    with pytest.raises(OSError, match=r"none\.sock: No such file"):
        make_client(f"unix://{tmp_path}/none.sock", 1)
    gc.collect()
