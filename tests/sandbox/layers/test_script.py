"""The script block as data: what is read, what is refused and on which line."""

import pytest

from sandbox.layers.script import MAX_REQUIREMENTS, Script, ScriptError, read


def source(*lines: str, before: str = "", after: str = "app = None") -> str:
    block = "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///"])
    return f"{before}{block}\n{after}\n"


def requiring(*requirements: str) -> str:
    return source("dependencies = [", *(f'  "{one}",' for one in requirements), "]")


def refusal(text: str) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        read(text)
    return caught.value


def test_a_file_without_a_block_states_nothing() -> None:
    assert read("from fastapi import FastAPI\napp = FastAPI()\n") is None
    assert read("") is None


def test_names_extras_and_versions_are_read_in_canonical_form() -> None:
    script = read(requiring("Typing_Extensions", "httpx[http2,brotli] >=0.27, <1", "a.b ~= 1.0"))
    assert script == Script(("a-b~=1.0", "httpx[brotli,http2]<1,>=0.27", "typing-extensions"), 1)


def test_the_same_requirement_twice_counts_once() -> None:
    script = read(requiring("httpx", "HTTPX"))
    assert script is not None
    assert script.requirements == ("httpx",)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_are_read(line_end: str) -> None:
    script = read(requiring("humanize").replace("\n", line_end))
    assert script is not None
    assert script.requirements == ("humanize",)


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    script = read("\ufeff" + requiring("humanize"))
    assert script is not None
    assert script.requirements == ("humanize",)


def test_the_block_may_stand_anywhere_and_its_line_is_told() -> None:
    script = read(source('dependencies = ["humanize"]', before='"""A tool."""\nimport os\n\n'))
    assert script == Script(("humanize",), 4)


def test_blocks_of_other_types_mean_nothing_here() -> None:
    text = "# /// pyproject\n# [tool.uv]\n# ///\n" + requiring("humanize")
    script = read(text)
    assert script is not None
    assert script.requirements == ("humanize",)


def test_a_block_with_only_this_python_adds_nothing() -> None:
    assert read(source('requires-python = ">=3.11"')) == Script((), 1)


def test_conditions_are_decided_for_this_python() -> None:
    script = read(requiring("humanize; python_version >= '3.8'", "tomli; python_version < '3.0'"))
    assert script is not None
    assert script.requirements == ("humanize",)


def test_the_file_is_never_run() -> None:
    # neither syntax errors nor what would run at import matter
    script = read(requiring("humanize") + "def broken(:\nraise SystemExit(__import__('os'))\n")
    assert script is not None


@pytest.mark.parametrize(
    "requirement",
    [
        "evil @ https://example.org/evil.whl",
        "evil @ git+https://example.org/evil.git",
        "evil @ file:///etc/passwd",
        "https://example.org/evil.whl",
        "git+ssh://git@example.org/evil.git",
        "file:evil",
        "./evil",
        "../evil",
        "/abs/evil-1.0-py3-none-any.whl",
        "~/evil",
        "evil-1.0-py3-none-any.whl",
        "evil.tar.gz",
        "C:\\\\evil",
        "-r requirements.txt",
        "-e .",
        "--index-url=https://example.org/simple",
        "--extra-index-url https://example.org/simple",
        "humanize --hash=sha256:00",
        "humanize --config-settings=x=y",
        "humanize\\nevil",
        "humanize # evil",
        "humanize==",
        "humanize ==1.0 ==",
        "humanize===1.0",
        "",
        "  ",
        "hümanize",
        "a" * 101,
        "humanize[" + ",".join(f"e{n}" for n in range(11)) + "]",
        "humanize>=" + "1." * 200 + "0",
        "humanize; extra == 'x' and python_version",
        "humanize; os.system('x')",
        "${HOME}",
        "humanize==${VERSION}",
    ],
)
def test_anything_but_names_and_versions_is_refused_with_its_line(requirement: str) -> None:
    error = refusal(requiring("attrs", requirement))
    assert 1 <= error.line <= 4  # not the own line where the text is written otherwise than read
    assert error.reason


def test_the_reason_names_what_it_is() -> None:
    assert "address" in refusal(requiring("evil @ https://example.org/x.whl")).reason
    assert "option" in refusal(requiring("--index-url=https://example.org")).reason
    assert "path" in refusal(requiring("./evil")).reason


def test_ten_thousand_dependencies_are_too_many() -> None:
    error = refusal(source(f"dependencies = {[f'p{n}' for n in range(10_000)]}"))
    assert "at most" in error.reason
    assert read(requiring(*(f"p{n}" for n in range(MAX_REQUIREMENTS))))
    error = refusal(requiring(*(f"p{n}" for n in range(MAX_REQUIREMENTS + 1))))
    assert (error.line, "51" in error.reason) == (2, True)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (("dependencies = []", "", "[tool.uv]", 'index-url = "https://example.org"'), 4),
        (("[tool.uv.sources]", 'x = { git = "https://example.org" }'), 2),
        (("[[tool.uv.index]]", 'url = "https://example.org"'), 2),
        (("dependencies = []", 'index-url = "x"'), 3),
        (('dependency = ["x"]',), 2),
        (('dependencies = "humanize"',), 2),
        (("dependencies = [1]",), 2),
        (("dependencies = { a = 1 }",), 2),
        (('requires-python = ">=3.99"',), 2),
        (('requires-python = "new"',), 2),
        (("requires-python = 3.11",), 2),
        (("dependencies = [", '  "humanize"', "x ="), 4),
        (("dependencies = []", "dependencies = []"), 3),
        (("dependencies = " + "[" * 5_000,), 1),
    ],
)
def test_a_block_that_says_more_or_else_is_refused(lines: tuple[str, ...], line: int) -> None:
    assert refusal(source(*lines)).line == line


def test_two_blocks_are_refused() -> None:
    error = refusal(requiring("a") + "\n" + requiring("b"))
    assert ("two script blocks" in error.reason, error.line) == (True, 8)


def test_two_blocks_without_a_line_between_are_not_one() -> None:
    block = '# /// script\n# dependencies = ["a"]\n# ///\n'
    assert "TOML" in refusal(block + block).reason


@pytest.mark.parametrize(
    "text",
    [
        '# /// script\n# dependencies = ["a"]\napp = None\n',
        '# /// script\n# dependencies = ["a"]',
        "# /// script",
        '# /// script\n#dependencies = ["a"]\n# ///\n',
    ],
)
def test_a_block_without_its_end_is_refused(text: str) -> None:
    error = refusal(text)
    assert ("not ended" in error.reason, error.line) == (True, 1)


@pytest.mark.parametrize(
    "begin", ["#/// script", "# /// script ", "  # /// script", "# /// Script"]
)
def test_a_beginning_that_other_tools_would_overlook_is_refused(begin: str) -> None:
    assert "exactly" in refusal(f'{begin}\n# dependencies = ["a"]\n# ///\n').reason


@pytest.mark.parametrize("name", ["utf-7", "latin-1", "rot13"])
def test_a_file_with_dependencies_must_not_call_itself_something_else(name: str) -> None:
    error = refusal(f"#!python\n# -*- coding: {name} -*-\n" + requiring("humanize"))
    assert (name in error.reason, error.line) == (True, 2)
    assert read(f"# coding: {name}\napp = None\n") is None
    assert read("# coding: utf-8\n" + requiring("humanize")) is not None


def test_a_huge_block_is_refused() -> None:
    assert "characters" in refusal(source(*(f"# {'x' * 100}" for _ in range(1_000)))).reason
