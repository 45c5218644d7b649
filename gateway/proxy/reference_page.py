"""The reference page of an API: plain HTML without scripts, out of a hostile document. Pure.

Every text goes through `_shown`, every command line through `_quoted`.
"""

import json
import re
import shlex
import time
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote

from gateway.proxy.openapi import (
    Json,
    Operation,
    Parameter,
    a_list,
    a_text,
    an_object,
    operations,
    resolve,
)
from gateway.proxy.page_style import STYLE
from gateway.proxy.schema_text import Example, Outline, summary

# replaced when the page is sent; a document that contains it only names its own API's address
ORIGIN = "{{origin}}"
_OPERATIONS = 500
_CHARACTERS = 1_500_000
_SECONDS = 1.0
_TEXT = 4000
# invisible, or able to show text in another order than it is read
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,100}")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


def render_page(document: Json, root: str) -> str:
    """The whole page; `{{origin}}` stands for scheme and host."""
    found = list(operations(document))
    sections, shown = _sections(document, found, root)
    info = an_object(document.get("info"))
    title = _shown(info.get("title"), 200) or "API"
    version = _shown(info.get("version"), 60)
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            '<a class="skip" href="#operations">Skip to the operations</a>',
            f'<header><h1>{title} <span class="version">{version}</span></h1>',
            _paragraph(info.get("summary")),
            _paragraph(info.get("description")),
            f"<p>Address <code>{ORIGIN}{_shown(root)}</code> · ",
            f'<a href="{_shown(root)}/openapi.json">openapi.json</a></p>',
            "<p>Send your key with each call: <code>Authorization: Bearer …</code>, ",
            "or <code>X-API-Key: …</code> when the API has a sign-in of its own.</p></header>",
            '<div class="columns">',
            _contents(found[:shown]),
            '<main id="operations" tabindex="-1">',
            *sections,
            _rest(len(found) - shown, root),
            "</main></div></body></html>\n",
        )
    )


def _sections(document: Json, found: list[Operation], root: str) -> tuple[list[str], int]:
    """As many operations as fit into a page and the time for it."""
    sections: list[str] = []
    size, until = 0, time.monotonic() + _SECONDS
    for number, operation in enumerate(found[:_OPERATIONS]):
        if size > _CHARACTERS or time.monotonic() > until:
            break
        sections.append(_section(document, operation, number, root))
        size += len(sections[-1])
    return sections, len(sections)


def _rest(count: int, root: str) -> str:
    if not count:
        return ""
    return (
        f'<p class="rest">{count} more are in '
        f'<a href="{_shown(root)}/openapi.json">openapi.json</a>.</p>'
    )


def _contents(found: list[Operation]) -> str:
    """Links to all operations, under their first tag."""
    groups: dict[str, list[str]] = {}
    for number, operation in enumerate(found):
        tags = a_list(operation.details.get("tags"))
        group = _shown(tags[0], 80) if tags else ""
        groups.setdefault(group, []).append(
            f'<li><a href="#op-{number}">{_method(operation)} '
            f"<span>{_shown(operation.path, 120)}</span></a></li>"
        )
    lists = (
        (f"<h2>{group}</h2>" if group else "") + f"<ul>{''.join(links)}</ul>"
        for group, links in groups.items()
    )
    return f'<nav aria-label="Operations">{"".join(lists)}</nav>'


def _method(operation: Operation) -> str:
    """From a fixed list, so it needs no escaping."""
    return f'<b class="method {operation.method.lower()}">{operation.method}</b>'


def _section(document: Json, operation: Operation, number: int, root: str) -> str:
    details = operation.details
    old = '<p class="old">Deprecated</p>' if details.get("deprecated") is True else ""
    return "".join(
        (
            f'<section id="op-{number}" aria-labelledby="h-{number}">',
            f'<h2 id="h-{number}">{_method(operation)} ',
            f"<code>{_shown(operation.path, 500)}</code></h2>",
            old,
            _paragraph(details.get("summary"), "summary"),
            _paragraph(details.get("description")),
            _parameters(document, operation.parameters),
            _body(document, operation.body),
            _answers(document, details.get("responses")),
            "<h3>Example</h3>",
            f'<pre tabindex="0"><code>{_curl(document, operation, root)}</code></pre>',
            "</section>",
        )
    )


def _parameters(document: Json, parameters: tuple[Parameter, ...]) -> str:
    if not parameters:
        return ""
    rows = (
        f"<tr><th scope=row><code>{_shown(one.name, 100)}</code></th><td>{one.place}</td>"
        f"<td>{_shown(summary(document, one.schema), 300)}</td>"
        f"<td>{'required' if one.is_required else ''}</td>"
        f"<td>{_shown(one.details.get('description'), 600)}</td></tr>"
        for one in parameters[:100]
    )
    return (
        '<h3>Parameters</h3><div class="wide" tabindex="0"><table><thead><tr><th scope=col>Name'
        "<th scope=col>In<th scope=col>Value<th scope=col><th scope=col>Meaning</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _body(document: Json, body: Json | None) -> str:
    if body is None:
        return ""
    required = " (required)" if body.get("required") is True else ""
    shown = _contents_of(document, body)
    return f"<h3>Body{required}</h3>{_paragraph(body.get('description'))}{shown}"


def _contents_of(document: Json, holder: Json) -> str:
    """The schema of each content type."""
    parts = []
    for kind, media in list(an_object(holder.get("content")).items())[:5]:
        outline = Outline(document).of(an_object(media).get("schema", {}))
        parts.append(
            f'<p class="kind">{_shown(kind, 100)}</p>'
            f'<pre tabindex="0"><code>{_shown(outline, 20_000)}</code></pre>'
        )
    return "".join(parts)


def _answers(document: Json, responses: object) -> str:
    answers = []
    for status, stored in list(an_object(responses).items())[:20]:
        answer = an_object(resolve(document, stored)[0])
        inside = _contents_of(document, answer)
        head = f"<b>{_shown(status, 10)}</b> {_shown(answer.get('description'), 300)}"
        answers.append(
            f"<details><summary>{head}</summary>{inside}</details>"
            if inside
            else f'<p class="answer">{head}</p>'
        )
    return f"<h3>Answers</h3>{''.join(answers)}" if answers else ""


# --- the command line


def _curl(document: Json, operation: Operation, root: str) -> str:
    """A call that a reader may paste into a shell: every word of the document is quoted."""
    words = [f"curl {_quoted(ORIGIN + root + _target(document, operation))}"]
    if operation.method != "GET":
        words[0] = f"curl -X {operation.method} {words[0][5:]}"
    words.append("-H 'Authorization: Bearer YOUR_KEY'")
    for one in operation.parameters[:50]:
        # curl reads a file when what follows -H begins with an @
        if one.place == "header" and one.is_required and _TOKEN.fullmatch(one.name):
            value = _plain(Example(document).of(one.schema))
            words.append(f"-H {_quoted(f'{one.name}: {value}')}")
    words += _curl_body(document, operation.body)
    return _shown(" \\\n  ".join(words), 20_000)


def _target(document: Json, operation: Operation) -> str:
    wanted = [
        f"{quote(one.name, safe='')}={quote(_plain(Example(document).of(one.schema)), safe='')}"
        for one in operation.parameters[:50]
        if one.place == "query" and one.is_required
    ]
    path = operation.path
    for one in operation.parameters[:50]:
        if one.place == "path":
            value = quote(_plain(Example(document).of(one.schema)), safe="")
            path = path.replace(f"{{{one.name}}}", value)
    # what is left of braces and brackets would be a range to curl
    path = quote(_CONTROL.sub("", path), safe="/%-._~:@!$&'()*+,;=")
    return path + ("?" + "&".join(wanted) if wanted else "")


def _curl_body(document: Json, body: Json | None) -> Iterator[str]:
    content = an_object(body.get("content")) if body is not None else {}
    media = an_object(content.get("application/json"))
    if media:
        value = (
            media["example"] if "example" in media else Example(document).of(media.get("schema"))
        )
        yield "-H 'Content-Type: application/json'"
        yield f"-d {_quoted(json.dumps(value, ensure_ascii=False)[:4000])}"


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:200]


def _quoted(text: str) -> str:
    return shlex.quote(_CONTROL.sub("", text))


# --- text


def _shown(value: object, most: int = _TEXT) -> str:
    """Text of the document, fit for any place in the page but inside a tag's name."""
    text = value if isinstance(value, str) else ""
    if len(text) > most:
        text = text[:most] + "…"
    return escape(_UNSEEN.sub("\ufffd", text))


def _paragraph(value: object, kind: str = "text") -> str:
    text = _shown(a_text(value).strip())
    return f'<p class="{kind}">{text}</p>' if text else ""
