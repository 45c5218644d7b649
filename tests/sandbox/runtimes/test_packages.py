"""Which distributions user code finds."""

import pytest

from sandbox.runtimes.packages import (
    PackageMissingError,
    closure,
    files_of,
    names_in,
    needs_of,
)


def test_names_of_a_requirements_file() -> None:
    assert names_in("# a comment\nfastapi\n\n  orjson>=3  # why\nuvicorn[standard]==1\n") == [
        "fastapi",
        "orjson",
        "uvicorn",
    ]


def test_requirements_of_extras_are_left_out_and_of_platforms_optional() -> None:
    assert needs_of(
        ["idna>=3", 'tomli>=2; python_version < "3.11"', 'rich; extra == "all"', "a.b-c (>1)"]
    ) == {"idna": True, "tomli": False, "a.b-c": True}


def test_the_closure_holds_what_is_needed_indirectly() -> None:
    found = closure(["fastapi"])
    assert {"fastapi", "starlette", "pydantic", "pydantic-core", "anyio", "idna"} <= found.keys()


def test_a_missing_distribution_is_named() -> None:
    with pytest.raises(PackageMissingError, match="no-such-thing"):
        closure(["no-such-thing"])


def test_files_are_what_can_be_imported() -> None:
    names = {name for name, _ in files_of(closure(["uvloop"])["uvloop"])}
    assert "uvloop/__init__.py" in names
    assert not any(name.startswith("..") or name.endswith((".pyx", ".pyc")) for name in names)
