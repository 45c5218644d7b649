"""From words to a called API, and on to its next version: the real loop in real sandboxes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from generator import library
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.scenarios import replies

pytestmark = [pytest.mark.slow, pytest.mark.bubblewrap]
JOB_SECONDS = 120.0


@contextmanager
def model(*arguments: str) -> Iterator[str]:
    """The scripted server's address, while its command runs."""
    command = [sys.executable, "-m", "generator.llm.scripted", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            yield address[0]
        finally:
            process.terminate()


@contextmanager
def made_with(*arguments: str) -> Iterator[Installation]:
    require("bubblewrap")
    with (
        model(*arguments) as url,
        installation(
            SANDBOX_RUNTIME="bubblewrap", ANTHROPIC_BASE_URL=url, GENERATION_MODEL="scripted"
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def demo() -> Iterator[Installation]:
    """Answers each description with the nearest template."""
    with made_with() as running:
        yield running


def followed(owner: httpx.Client, taken: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The job once it is over, and the kinds of its events as they came."""
    kinds = []
    with owner.stream("GET", taken["events_url"], timeout=JOB_SECONDS) as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
    job: dict[str, Any] = owner.get(taken["url"]).json()
    return job, kinds


def asked(owner: httpx.Client, path: str, prompt: str) -> tuple[dict[str, Any], list[str]]:
    answer = owner.post(path, json={"prompt": prompt})
    assert answer.status_code == 202, answer.text
    return followed(owner, answer.json())


@pytest.mark.parametrize("one", library.all_templates(), ids=lambda one: one.slug)
def test_words_become_each_template_through_every_gate(
    demo: Installation, one: library.Template
) -> None:
    with demo.admin() as owner:
        job, kinds = asked(owner, "/api/generate", f"{one.title}. {one.summary}")
        if one.contract.dependencies and "dependencies" in json.dumps(job["findings"]):
            pytest.skip("optional: the package index does not answer here")
        assert job["status"] == "succeeded", f"{job['failure']} {job['findings']}\n{demo.logs()}"
        origin = owner.get(f"/api/apis/{job['api_id']}/versions/1/origin").json()
        owner.delete(f"/api/apis/{job['api_id']}").raise_for_status()
    assert origin["contract"]["title"] == one.contract.title
    assert {"example", "abuse", "generated"} <= {case["kind"] for case in job["report"]["cases"]}
    assert all(case["passed"] for case in job["report"]["cases"])
    assert kinds[0] == "queued"
    assert kinds[-1] == "deployed"


def test_the_assistant_answers_through_the_worker(demo: Installation) -> None:
    with demo.admin() as owner:
        body = {"messages": [{"role": "user", "text": "How are my APIs?"}]}
        answer = owner.post("/api/chat", json=body)
    assert answer.status_code == 200, answer.text
    assert "event: message" in answer.text


FACTS = ("Honey does not spoil.", "Honey never spoils.", "Honey keeps.")


def test_an_api_is_called_changed_and_left_as_it_was(tmp_path: Path) -> None:
    says = [*replies.START, replies.wrote()]
    for change in pairwise(FACTS):
        says += [replies.screened(), replies.drafted(), replies.edited(change)]
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"note": "", "rules": [{"replies": says}]}))
    with made_with("--scenario", str(scenario)) as running, running.admin() as owner:
        job, _ = asked(owner, "/api/generate", "Count words, repeat texts, tell facts.")
        assert job["status"] == "succeeded", f"{job['failure']} {job['findings']}"
        api_id, kept = job["api_id"], FACTS[0]
        key = owner.post(f"/api/apis/{api_id}/keys", json={}).json()["key"]
        with running.client(Authorization=f"Bearer {key}") as caller:
            for change, decision in zip(pairwise(FACTS), ("accept", "reject"), strict=True):
                edit, kinds = asked(owner, f"/api/apis/{api_id}/edits", "Shorter!")
                assert kinds[-1] == "proposed", f"{edit['failure']} {edit['findings']}"
                assert caller.get(f"/{api_id}/facts/1").json()["fact"] == kept
                shown = owner.get(f"/api/edits/{edit['id']}").json()
                assert (shown["level"], shown["breaking"]) == ("patch", [])
                lines = shown["diff"].split("\n")
                assert any(line.startswith("+") and change[1] in line for line in lines)
                body: dict[str, Any] | None = {} if decision == "accept" else None
                owner.post(f"/api/edits/{edit['id']}/{decision}", json=body).raise_for_status()
                kept = change[1] if decision == "accept" else kept
                assert caller.get(f"/{api_id}/facts/1").json()["fact"] == kept
    assert kept == FACTS[1]
