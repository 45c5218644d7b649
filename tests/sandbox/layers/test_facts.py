"""Settings, the root's contents, the tools layer, certificates and reasons."""

import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from sandbox.layers import tools
from sandbox.layers.certificates import host_certificates
from sandbox.layers.reasons import explain
from sandbox.layers.settings import IndexUrlError, LayerSettings, Root, index_hosts, make_settings
from sandbox.types import DependencyError, ManagerUnavailableError

SETTINGS = LayerSettings(Root({"fastapi": "1.0"}, frozenset()))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://pypi.org/simple", ("pypi.org:443", "files.pythonhosted.org:443")),
        ("https://user:word@packages.example/a/simple/", ("packages.example:443",)),
        ("http://127.0.0.1:8081/simple", ("127.0.0.1:8081",)),
        ("http://[::1]:8081/simple", ("[::1]:8081",)),
    ],
)
def test_a_builder_reaches_the_hosts_of_the_index(url: str, hosts: tuple[str, ...]) -> None:
    assert index_hosts(url) == hosts
    assert make_settings(index_url=url, root=SETTINGS.root).hosts == hosts


@pytest.mark.parametrize(
    "url",
    ["", "pypi.org/simple", "file:///srv/simple", "https://", "https://a:b@:1/", "http://a:x/",
     "https://secret@a b/", "https://secret@a/\n"],
)  # fmt: skip
def test_an_index_that_is_no_web_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(IndexUrlError) as caught:
        make_settings(index_url=url, root=SETTINGS.root)
    assert "secret" not in str(caught.value)


def test_a_password_of_the_index_is_not_shown() -> None:
    settings = make_settings(index_url="https://u:secret@a.example/simple", root=SETTINGS.root)
    assert "secret" not in repr(settings)


def test_lists_of_names_are_normalised() -> None:
    settings = make_settings(allow=["Foo_Bar", " "], deny=["A.b"], root=SETTINGS.root)
    assert (settings.allow, settings.deny) == (frozenset({"foo-bar"}), frozenset({"a-b"}))


def test_the_root_names_its_versions_and_every_module_in_it() -> None:
    root = Root.installed()
    assert {"fastapi", "pydantic-core", "uvicorn", "anyio"} <= set(root.versions)
    modules = {"fastapi", "uvicorn", "runner", "sitecustomize", "sandgate_runtime", "asyncio"}
    assert modules <= root.modules
    assert {"typing_extensions", "pydantic_core"} <= root.modules
    assert "humanize" not in root.modules


def test_the_tools_layer_has_the_program_alone(tmp_path: Path) -> None:
    (tmp_path / "tools" / "older").mkdir(parents=True)
    layer = tools.make_tools(tmp_path / "tools")
    assert tools.make_tools(tmp_path / "tools") == layer
    assert [path.relative_to(layer).as_posix() for path in layer.rglob("*")] == ["bin", "bin/uv"]
    assert (layer / "bin/uv").stat().st_mode & stat.S_IXOTH
    assert list((tmp_path / "tools").iterdir()) == [layer]


def test_without_the_program_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text("#!/bin/sh\n")  # a script in front of it is not enough
    monkeypatch.setattr(tools, "distribution", _no_distribution)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path))
    with pytest.raises(tools.ToolMissingError, match="uv is missing"):
        tools.make_tools(tmp_path / "tools")


def _no_distribution(name: str) -> object:
    raise PackageNotFoundError(name)


def test_certificates_of_this_machine_are_text() -> None:
    text = host_certificates()
    assert text == "" or "BEGIN CERTIFICATE" in text


@pytest.mark.parametrize(
    "errors",
    [
        "error: Failed to fetch: `https://pypi.org/simple/x/`\n  cause: dns error",
        "error: Request failed after 3 retries\n cause: error sending request for url (http://a/)",
    ],
)
def test_an_index_that_is_away_is_for_the_operator(errors: str) -> None:
    error = explain(errors, SETTINGS)
    assert isinstance(error, ManagerUnavailableError)
    assert "://" not in str(error)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("", "they cannot be installed"),
        ("error: No space left on device (os error 28)", "the packages are too large"),
        (
            "error: No solution found when resolving dependencies\n  cause: Because a needs b\n\n"
            "hint: `a` was filtered by `exclude-newer`",
            "Because a needs b Versions younger than 7 days are not used.",
        ),
        (
            "error: No solution found when resolving dependencies\n  cause: Because you require "
            "fastapi<1 and fastapi==1.0, no.",
            "Because you require fastapi<1 and fastapi==1.0, no. Fixed by Sandgate: fastapi.",
        ),
    ],
)
def test_reasons_are_the_resolvers_with_our_rules_behind_them(errors: str, reason: str) -> None:
    error = explain(errors, SETTINGS)
    assert isinstance(error, DependencyError)
    assert error.reason == reason
