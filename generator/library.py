"""The library of templates: whole APIs that need no model. Their code is data here, never run."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from generator import template
from generator.contract import Contract

_WORD = re.compile(r"[^\W_]+")
_PROMPT_CHARACTERS = 5_000  # what comes later says nothing more about the kind of API
_ENOUGH = 4  # a title or two words of the template's own; less is a guess
# words that say that something is wanted, not what
_EMPTY = frozenset(
    _WORD.findall(
        """
    a about all an and any api apis are as at be build by can create do each for from generate get
    give gives given has have i in into is it its made make makes me my new of on one or our out
    please rest return returns service should simple so some that the their them these they this
    to up us use user users want we when where which who will with would you your endpoint http
    backend app application server web data value values number numbers two other another
        """
    )
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "er", "ed", "es", "s", "e", "y")
_SYNONYMS: Mapping[str, str] = {
    "abbreviate": "shorten",
    "aphorism": "quote",
    "bookmark": "link",
    "chores": "todo",
    "coin": "currency",
    "coins": "currency",
    "dollars": "currency",
    "encode": "convert",
    "errand": "todo",
    "euros": "currency",
    "forecast": "weather",
    "href": "link",
    "imperial": "unit",
    "jpg": "jpeg",
    "kelvin": "temperature",
    "measurement": "unit",
    "measurements": "unit",
    "metric": "unit",
    "passcode": "password",
    "photo": "image",
    "photos": "image",
    "picture": "image",
    "pictures": "image",
    "proverb": "quote",
    "sayings": "quote",
    "shrink": "resize",
    "spreadsheets": "csv",
    "tasks": "todo",
    "translate": "convert",
    "thumbnail": "resize",
    "thumbnails": "resize",
    "trivia": "facts",
    "vacations": "holiday",
}


@dataclass(frozen=True, slots=True)
class Template:
    """One API of the library; `body` goes between the platform's parts of the file."""

    slug: str
    title: str
    summary: str
    keywords: tuple[str, ...]
    contract: Contract
    body: str
    readme: str

    @property
    def code(self) -> str:
        """The whole file, ready to deploy."""
        return template.assemble(self.contract, self.body)


@cache
def all_templates() -> tuple[Template, ...]:
    """Every template, in the order in which they are shown. Read once, when first asked for."""
    return tuple(_read(slug, tuple(words)) for slug, words in _index().items())


def get(slug: str) -> Template | None:
    """The template of this slug; None for anything else, paths included."""
    return next((one for one in all_templates() if one.slug == slug), None)


def find(text: str) -> Template | None:
    """The template that a description means; None when it clearly means none of them."""
    found = _ranked(text)
    return found[0][1] if found and found[0][0] >= _ENOUGH else None


def search(text: str, limit: int = 10) -> tuple[Template, ...]:
    """Templates that have to do with a text, best first; the same text, the same answer."""
    return tuple(one for _, one in _ranked(text)[:limit])


def _ranked(text: str) -> list[tuple[int, Template]]:
    """By score, then in the library's order; those that have nothing in common are left out."""
    wanted = frozenset(_stems(text[:_PROMPT_CHARACTERS]))
    scored = [(_score(wanted, words), one) for one, words in _weighted()]
    return sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])


def _score(wanted: frozenset[str], words: Mapping[str, int]) -> int:
    return sum(weight for word, weight in words.items() if word in wanted)


@cache
def _weighted() -> tuple[tuple[Template, Mapping[str, int]], ...]:
    """What each word says for a template; one that several have says less for each of them."""
    rows = [(one, _words_of(one)) for one in all_templates()]
    owners = Counter(word for _, words in rows for word, weight in words.items() if weight > 1)
    return tuple(
        (one, {word: max(1, weight // max(1, owners[word])) for word, weight in words.items()})
        for one, words in rows
    )


def _words_of(one: Template) -> dict[str, int]:
    """Its first keyword counts most, then its name, its other keywords, its summary."""
    words: dict[str, int] = {}
    for weight, text in (
        (1, one.summary),
        (2, " ".join(one.keywords)),
        (3, f"{one.slug} {one.title}"),
        (_ENOUGH, one.keywords[0]),
    ):
        for stem in _stems(text):
            words[stem] = max(weight, words.get(stem, 0))
    return words


def _stems(text: str) -> Iterator[str]:
    """Words that say something, without their endings."""
    joined = text.casefold().replace("to-do", "todo").replace("to do list", "todo list")
    for word in _WORD.findall(joined):
        if word not in _EMPTY:
            yield _stem(_SYNONYMS.get(word, word))


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


@cache
def _index() -> dict[str, list[str]]:
    """Slug → keywords; what is not named here is not there."""
    found: dict[str, list[str]] = json.loads(_text("index.json"))
    return found


def _read(slug: str, keywords: tuple[str, ...]) -> Template:
    contract = Contract.model_validate_json(_text(f"{slug}/contract.json"))
    return Template(
        slug=slug,
        title=contract.title,
        summary=contract.summary,
        keywords=keywords,
        contract=contract,
        body=_text(f"{slug}/body.py"),
        readme=_text(f"{slug}/README.md"),
    )


def _text(name: str) -> str:
    return resources.files("generator").joinpath("templates", *name.split("/")).read_text("utf-8")
