"""Commands that make an API from words, and change one in words."""

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, RefusedError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs
from gateway.cli.client.session import Session, signed_in
from gateway.cli.client.watching import Watching

Prompt = Annotated[str, typer.Argument(help="What the API shall do, in any language.")]
Ask = Annotated[bool, typer.Option("--ask", help="Show the contract and ask before code is made.")]


def generate(
    prompt: Prompt,
    name: Annotated[str | None, typer.Option(help="Of the API.")] = None,
    template: Annotated[
        str | None, typer.Option(help="Make this template; needs no language model.")
    ] = None,
    ask: Ask = False,
    as_json: AsJson = False,
) -> None:
    """Describe an API and watch it being made; prints where it answers and a command to call it."""
    with reporting(as_json), signed_in() as session:
        body: dict[str, object] = {"prompt": prompt, "approve": "ask" if ask else "auto"}
        body |= {k: v for k, v in (("name", name), ("template", template)) if v is not None}
        job = _made(session, "/api/generate", body, as_json)
        api = session.call("GET", path_of({"id": job["api_id"]}))
        key = session.call("POST", path_of(api, "keys"), {"name": "sandgate generate"})
        secret = str(key.get("api_key") or key.get("key") or "")
        answer = {
            **{part: api.get(part) for part in ("id", "name", "slug", "status", "endpoint_url")},
            "job_id": job["id"],
            "version": job.get("version"),
            "cost_nano_usd": job.get("cost_nano_usd"),
            "api_key": secret,
            "curl": curl(_address(session, api), secret, job.get("contract")),
        }
        if as_json:
            show_json(answer)
        else:
            _show_api(answer, _address(session, api))


def edit(
    api: ApiArgument,
    prompt: Annotated[str, typer.Argument(help="What to change.")],
    accept: Annotated[bool, typer.Option("--accept", help="Let it answer without asking.")] = False,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="Also when callers of today would miss something.")
    ] = False,
    ask: Ask = False,
    as_json: AsJson = False,
) -> None:
    """Change an API in words: shows what would change, and lets it answer when you say yes."""
    with reporting(as_json), signed_in() as session:
        found = find_api(session, api)
        body = {"prompt": prompt, "approve": "ask" if ask else "auto"}
        job = _made(session, path_of(found, "edits"), body, as_json)
        path = f"/api/edits/{job['id']}"
        change = session.call("GET", path)
        if not as_json:
            _show_change(change)
        if accept or (not as_json and _says_yes("Let the new version answer?")):
            change = session.call("POST", f"{path}/accept", {"breaking": breaking})
        elif not as_json:
            change = session.call("POST", f"{path}/reject")
        if as_json:
            show_json(change)
        else:
            show(f"Version {change.get('version')} of {found.get('name')} is {change['decision']}.")


def _made(session: Session, path: str, body: Mapping[str, object], as_json: bool) -> dict[str, Any]:
    """The job once it has succeeded. `Any`: its JSON."""
    taken = session.call("POST", path, body, headers={"Idempotency-Key": str(uuid4())})
    job = Watching(session, f"/api/jobs/{taken['id']}", quiet=as_json).to_the_end()
    if job.get("status") != "succeeded":
        raise _failed(job)
    return job


def _failed(job: Mapping[str, Any]) -> RefusedError:
    failure = job.get("failure") or {}
    if job.get("status") == "cancelled":
        return RefusedError("The job was cancelled")
    findings = [str(one.get("message")) for one in job.get("findings") or [] if one]
    text = str(failure.get("reason") or "The job failed")
    more = f" ({'; '.join(findings[:3])})" if findings else ""
    problem = {
        "type": "about:blank",
        "title": "The job failed",
        "code": failure.get("code") or "generation_failed",
        "detail": text,
        "job_id": job.get("id"),
        "findings": job.get("findings") or [],
    }
    return RefusedError(text + more, "Say it differently and try again.", problem)


def curl(address: str, key: str, contract: Mapping[str, Any] | None) -> str:
    """A command that makes the contract's first example; without one it calls the root."""
    words = ["curl", "-i", "-H", f"Authorization: Bearer {key or '$SANDGATE_KEY'}"]
    try:
        operation = (contract or {})["operations"][0]
        example = operation["examples"][0]
        method, path = str(operation["method"]), str(example["path"])
        query, body = dict(example.get("query") or {}), example.get("body")
    except (IndexError, KeyError, TypeError, ValueError):
        return shlex.join([*words, address])
    if method != "GET":
        words += ["-X", method]
    if body is not None:
        words += ["--json", _as_text(body)]
    return shlex.join([*words, address + path + (f"?{urlencode(query)}" if query else "")])


def _as_text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def _address(session: Session, api: Mapping[str, Any]) -> str:
    endpoint = str(api.get("endpoint_url") or f"/{api['id']}")
    return session.url + endpoint if endpoint.startswith("/") else endpoint


def _show_api(answer: Mapping[str, Any], address: str) -> None:
    show(f"{answer['name']} version {answer['version']} is {answer['status']}.")
    cost = int(answer.get("cost_nano_usd") or 0) / 1e9
    show_pairs([
        ("Endpoint", address),
        ("Key", f"{answer['api_key']}  (shown only this once)"),
        ("Cost", f"${cost:.4f}"),
        ("Try it", str(answer["curl"])),
    ])  # fmt: skip


def _show_change(change: Mapping[str, Any]) -> None:
    show(f"This is a {change.get('level')} change.")
    for missed in change.get("breaking") or []:
        show(f"  callers would miss: {missed}")
    show(str(change.get("diff") or "The code did not change."))


def _says_yes(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        raise InputError("Nobody is there to answer", "Say --accept, or use --json.") from None
