"""Commands about oneself: the profile, and feedback to the operators."""

from typing import Annotated, Any

import typer

from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import signed_in

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
    as_json: AsJson = False,
) -> None:
    """Write to the operators."""
    body = {"type": kind, "title": title, "text": text}
    with reporting(as_json), signed_in() as session:
        found = session.call("POST", "/api/feedback", body)
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


def _link(text: str) -> dict[str, str]:
    label, separator, url = text.partition("=")
    if not separator or not label or not url:
        raise InputError("--link takes a label and an address, like Page=https://example.com")
    return {"label": label, "url": url}
