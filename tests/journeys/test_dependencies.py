"""Dependencies named in the file, from an index of the test's own, on each runtime."""

from collections.abc import Iterator

import pytest

from tests.support.deployed import deployed
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.package_index import PackageIndex, package_index

CODE = """# /// script
# dependencies = [{wanted}]
# ///
import greeting
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> str:
    return greeting.version
"""


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    """Two versions of a package, a young one, one that would replace the server, and a source."""
    with package_index() as made:
        made.add("greeting", "1.0")
        made.add("greeting", "2.0")
        made.add("greeting", "3.0", uploaded="2099-01-01T00:00:00Z")
        made.add("uvicorn-extras", "1.0", {"uvicorn/__init__.py": b"stolen = True\n"})
        made.add_file("source-only", "source_only-1.0.tar.gz", b"no wheel")
        yield made


@pytest.fixture(
    scope="module",
    params=[
        "bubblewrap",
        "docker",
    ],
)
def stocked(request: pytest.FixtureRequest, index: PackageIndex) -> Iterator[Installation]:
    """An installation that knows that index only."""
    require(request.param)
    with installation(SANDBOX_RUNTIME=request.param, PACKAGE_INDEX_URL=index.url) as running:
        yield running


def refused(made: Installation, wanted: str) -> tuple[int, str, str]:
    """Status, code and detail of a deployment that must not happen."""
    with made.admin() as owner:
        body = {"name": "refused", "code": CODE.format(wanted=wanted)}
        answer = owner.post("/api/apis", json=body, timeout=300)
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


def test_conflicting_pins_run_side_by_side(stocked: Installation) -> None:
    one, two = (CODE.format(wanted=f'"greeting=={n}.0"') for n in (1, 2))
    with deployed(stocked, "pins one", one) as first, deployed(stocked, "pins two", two) as second:
        assert (first.ask(), second.ask()) == ("1.0", "2.0")
        assert first.value["packages"] == ["greeting==1.0"]


def test_a_release_of_today_is_not_taken(stocked: Installation) -> None:
    with deployed(stocked, "cool", CODE.format(wanted='"greeting"')) as api:
        assert api.ask() == "2.0"


def test_another_version_may_want_something_else(stocked: Installation) -> None:
    with deployed(stocked, "moves on", CODE.format(wanted='"greeting==1.0"')) as api:
        body = {"code": CODE.format(wanted='"greeting==2.0"')}
        api.send("POST", "/versions", 201, json=body)
        assert api.ask() == "2.0"
        api.send("POST", "/rollback", 200)
        assert api.ask() == "1.0"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ('"greeting @ http://127.0.0.1/greeting.whl"', "dependencies_invalid"),
        ('"-e ."', "dependencies_invalid"),
        ('"fastapi==0.1"', "dependencies_unavailable"),
        ('"source-only"', "dependencies_unavailable"),
        ('"no-such-package"', "dependencies_unavailable"),
        ('"uvicorn-extras"', "dependencies_unavailable"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    stocked: Installation, wanted: str, code: str
) -> None:
    status, problem, detail = refused(stocked, wanted)
    assert (status, problem) == (422, code)
    assert detail
