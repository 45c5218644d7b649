"""What the README promises to list is listed; what the pages name exists."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gateway
from gateway.errors import SandgateError
from gateway.settings import Settings
from tests.hostile import corpus_page

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").glob("*.md"))


def error_codes() -> set[str]:
    """Stable codes of every error class of the gateway."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if ".demo" not in module.name:
            importlib.import_module(module.name)
    classes, codes = [SandgateError], set()
    while classes:
        error = classes.pop()
        codes.add(error.code)
        classes.extend(error.__subclasses__())
    return codes


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name.upper()}`" in README


def test_every_error_code_is_in_the_readme() -> None:
    assert {code for code in error_codes() if f"`{code}`" not in README} == set()


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    pattern = r"`((?:gateway|sandbox|supabase|tests|scripts|docs)/[\w./-]+?)`"
    named = set(re.findall(pattern, page.read_text()))
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_decision_names_what_enforces_it(page: Path) -> None:
    if page.name != "README.md":
        assert "**Enforced by.**" in page.read_text()


def test_index_links_every_decision() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert {page.name for page in PAGES if f"({page.name})" not in index} == {"README.md"}


def test_the_corpus_is_the_page_that_was_made() -> None:
    made = (ROOT / "docs" / "hostile-corpus.md").read_text()
    command = "python -m tests.hostile.corpus_page > docs/hostile-corpus.md"
    assert made == corpus_page.page(), f"run: {command}"
