"""Code that does not start is refused with file, line and reason, and leaves nothing."""

import pytest

from tests.journeys import apps
from tests.support.installation import Installation

LINES = {"syntax_error": 2, "exception": 6, "import_error": 1}


@pytest.mark.parametrize("kind", sorted(apps.BROKEN))
def test_code_that_does_not_start_is_422(made: Installation, kind: str) -> None:
    with made.admin() as client:
        answer = client.post("/api/apis", json={"name": f"bad {kind}", "code": apps.BROKEN[kind]})
        names = [api["name"] for api in client.get("/api/apis").json()["items"]]
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "api_start_failed"), problem
    assert problem["failure"]["kind"] == kind
    assert (problem["failure"]["file"], problem["failure"]["reason"] != "") == ("app.py", True)
    assert problem["failure"]["line"] == LINES.get(kind, problem["failure"]["line"])
    assert f"bad {kind}" not in names


def test_traceback_shows_the_creators_frames_only(made: Installation) -> None:
    with made.admin() as client:
        answer = client.post("/api/apis", json={"name": "tb", "code": apps.BROKEN["exception"]})
    text = answer.json()["failure"]["traceback"]
    assert "raise ValueError('seven')" in text
    assert "runner" not in text


def test_200_megabytes_at_import_fit_into_256(made: Installation) -> None:
    value = made.deploy("well fed", apps.hungry(200))
    with made.client(Authorization=f"Bearer {value['api_key']}") as caller:
        assert caller.get(f"/{value['id']}").status_code == 200
    with made.admin() as owner:
        owner.delete(f"/api/apis/{value['id']}")


def test_more_memory_than_there_is_at_import_is_said_to_be_memory(made: Installation) -> None:
    with made.admin() as client:
        answer = client.post("/api/apis", json={"name": "hungry", "code": apps.hungry(300)})
    assert answer.status_code == 422
    assert answer.json()["failure"]["kind"] == "memory", answer.text


def test_five_megabytes_of_code_are_refused(made: Installation) -> None:
    code = "# " + "x" * (5 * 1024 * 1024)
    with made.admin() as client:
        answer = client.post("/api/apis", json={"name": "long", "code": code})
    assert (answer.status_code, "code" in answer.json()) == (413, True)


def test_taken_name_is_409(made: Installation) -> None:
    made.deploy("twice", apps.USER_APP)
    with made.admin() as client:
        answer = client.post("/api/apis", json={"name": "twice", "code": apps.USER_APP})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
