"""Commands about oneself: the profile, and feedback to the operators."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli.client.failures import CommandError, InputError, reporting
from gateway.cli.client.output import AsJson, plain, show, show_json, show_pairs, show_table
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import PAGE, Session, signed_in
from gateway.cli.client.tenants import find_tenant

feedback_app = typer.Typer(help="Tell the operators something, and read what they answer.")
_SHOWN = ("email", "display_name", "bio")


def profile(
    name: Annotated[str | None, typer.Option(help="The name that others see.")] = None,
    bio: Annotated[str | None, typer.Option(help="A few words about yourself.")] = None,
    link: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=URL", help="Replaces all links; give it several times."),
    ] = None,
    public: Annotated[
        bool | None, typer.Option("--public/--private", help="Whether others see it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show your profile, or change it."""
    change: dict[str, Any] = {"display_name": name, "bio": bio, "is_public": public}
    change = {key: value for key, value in change.items() if value is not None}
    with reporting(as_json):
        if link:
            change["links"] = [_link(text) for text in link]
        with signed_in() as session:
            if change:
                found = session.call("PATCH", "/api/profile", change)
            else:
                found = session.call("GET", "/api/profile")
            try:
                pairs = [(key.replace("_", " "), str(found[key] or "-")) for key in _SHOWN]
                pairs += [("link", f"{each['label']}  {each['url']}") for each in found["links"]]
                pairs.append(("seen by", "all" if found["is_public"] else "nobody else"))
            except (KeyError, TypeError) as error:
                raise unlike_sandgate(session.url) from error
        show_json(found) if as_json else show_pairs(pairs)


@feedback_app.command("send")
def send(
    title: Annotated[str, typer.Argument(help="What it is about, in one line.")],
    text: Annotated[str, typer.Option(prompt=True, help="All of it; asked for when left out.")],
    kind: Annotated[
        str, typer.Option("--type", help="bug, idea, question, praise or other.")
    ] = "other",
    attach: Annotated[
        list[Path] | None, typer.Option(help="A picture, PDF or text; five at most.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write to the operators."""
    body = {"type": kind, "title": title, "text": text}
    with reporting(as_json):
        files = [(path.name, _bytes_of(path)) for path in attach or []]
        with signed_in() as session:
            found = session.call("POST", "/api/feedback", body)
            if files:
                found["attachments"] = _attached(session, str(found.get("id")), files)
        if as_json:
            show_json(found)
        else:
            show("Sent. `sandgate feedback list` shows the answer.")


@feedback_app.command("list")
def list_feedback(as_json: AsJson = False) -> None:
    """What you wrote, and what was answered."""
    with reporting(as_json), signed_in() as session:
        found = session.items("/api/feedback")
        if as_json:
            show_json(found)
            return
        try:
            rows = [
                (
                    item["created_at"][:10],
                    item["type"],
                    item["status"],
                    item["title"],
                    item["answer"],
                )
                for item in found
            ]
        except (KeyError, TypeError) as error:
            raise unlike_sandgate(session.url) from error
        show_table(("WRITTEN", "TYPE", "STATUS", "TITLE", "ANSWER"), rows)


def uploads(
    tenant: Annotated[
        str | None, typer.Option(help="Id or name of a tenant instead of your own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List your files, and how much of the quota they take."""
    path = f"/api/uploads?limit={PAGE}"
    with reporting(as_json), signed_in() as session:
        if tenant is not None:
            path += f"&tenant_id={quote(str(find_tenant(session, tenant)['id']), safe='')}"
        found = session.call("GET", path)
        if as_json:
            show_json(found)
            return
        try:
            rows = [
                (item["created_at"][:10], item["purpose"], item["bytes"], item["name"], item["id"])
                for item in found["items"]
            ]
            used = f"{found['used_bytes']} of {found['allowed_bytes']} bytes are used."
        except (KeyError, TypeError) as error:
            raise unlike_sandgate(session.url) from error
        show_table(("SENT", "FOR", "BYTES", "NAME", "ID"), rows)
        show(used)


def _attached(
    session: Session, feedback_id: str, files: Sequence[tuple[str, bytes]]
) -> list[dict[str, Any]]:
    """What the server answered to each file. `Any`: it is JSON."""
    path = f"/api/feedback/{quote(feedback_id, safe='')}/attachments"
    answers = []
    for name, content in files:
        try:
            answers.append(session.upload(f"{path}?name={quote(name, safe='')}", content))
        except CommandError:
            typer.echo(f"sandgate: the text was sent, but {plain(name)} was not.", err=True)
            raise
    return answers


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _link(text: str) -> dict[str, str]:
    label, separator, url = text.partition("=")
    if not separator or not label or not url:
        raise InputError("--link takes a label and an address, like Page=https://example.com")
    return {"label": label, "url": url}
