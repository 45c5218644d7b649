"""What comes late after a hasty import, and that it comes."""

import contextlib
import gc
import json
import subprocess
import sys

import pytest

from sandbox.runner.haste import uncollected
from tests.support.running import SANDBOX

APP = """
from fastapi import Depends, FastAPI
from fastapi.openapi.models import Contact
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, EmailStr

app = FastAPI(contact={"name": "n", "email": "a@example.com"})

class Item(BaseModel):
    name: str
    mail: EmailStr | None = None

@app.post("/items/{number}")
def add(number: int, item: Item, token: str = Depends(OAuth2PasswordBearer("token"))) -> Item:
    return item
"""
HASTE = "from runner.haste import import_fastapi; import_fastapi()"


def said(begin: str, question: str) -> str:
    """What a fresh process prints that has the app."""
    code = f"import sys; sys.path.insert(0, {str(SANDBOX)!r})\n{begin}\n{APP}\nprint({question})"
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_document_is_the_same_as_after_a_plain_import() -> None:
    question = "__import__('json').dumps(app.openapi())"
    hasty = said(HASTE, question)
    assert json.loads(hasty)["info"]["contact"]["email"] == "a@example.com"
    assert hasty == said("", question)


def test_only_models_of_documents_are_built_late() -> None:
    complete = "Contact.__pydantic_complete__, Item.__pydantic_complete__"
    assert said(HASTE, complete) == "False True\n"
    assert said("", complete) == "True True\n"


def test_what_is_built_late_still_checks_its_values() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        said(HASTE, "Contact(email='nobody')")
    assert "value is not a valid email address" in refused.value.stderr


def test_garbage_is_collected_again_after_a_failed_import() -> None:
    with contextlib.suppress(ImportError), uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
