"""The assistant's Markdown as HTML that can do nothing: no tags of its own, no images, no links.

Whatever a model writes may have been put into its mouth. An address in it is shown, and never
fetched or followed by itself.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_OFF = ["image", "link", "autolink", "reference", "html_inline", "html_block", "entity"]


def rendered(text: str) -> str:
    """HTML of a fixed set of tags without attributes that name an address."""
    return str(_markdown().render(text))


@cache
def _markdown() -> "MarkdownIt":
    """Made when somebody asks: a gateway that nobody asks starts without."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
    return made.disable(_OFF)
