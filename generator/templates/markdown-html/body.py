"""Markdown to HTML in which nothing of the writer's is HTML."""

from html import unescape
from itertools import pairwise
from re import compile as pattern

from markdown_it import MarkdownIt
from pydantic import BaseModel, Field

# `html: False` makes tags in the text visible text; addresses such as `javascript:` are refused
RENDERER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
HEADING_LEVELS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
TAG = pattern("<[^<>]{0,2000}>")


class MarkdownIn(BaseModel):
    """A text in Markdown."""

    markdown: str = Field(max_length=20_000)


class HtmlOut(BaseModel):
    """Its HTML, safe to put into a page."""

    html: str


class Heading(BaseModel):
    """A heading and how deep it is."""

    level: int
    text: str


class Outline(BaseModel):
    """All headings in their order."""

    items: list[Heading]


class PlainOut(BaseModel):
    """The text without marks."""

    text: str


@router.post("/html")
async def to_html(body: MarkdownIn) -> HtmlOut:
    """Render it; HTML in the text is escaped."""
    return HtmlOut(html=RENDERER.render(body.markdown))


@router.post("/outline")
async def outline(body: MarkdownIn) -> Outline:
    """Its headings."""
    tokens = RENDERER.parse(body.markdown)
    return Outline(
        items=[
            Heading(level=HEADING_LEVELS[token.tag], text=following.content)
            for token, following in pairwise(tokens)
            if token.type == "heading_open"
        ]
    )


@router.post("/plain")
async def to_plain(body: MarkdownIn) -> PlainOut:
    """Its text without marks, such as for a search index."""
    return PlainOut(text=unescape(TAG.sub("", RENDERER.render(body.markdown))).strip())
