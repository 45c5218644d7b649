"""Imports FastAPI sooner when code waits already: what can come later is put off."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Everything that is imported stays: looking through it for garbage finds nearly none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def import_fastapi() -> None:
    """As a plain import, but models of OpenAPI documents are built when one is first asked for.

    They are a tenth of the import and pydantic builds them by itself when they are needed.
    """
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi.openapi.models  # noqa: F401
    finally:
        del BaseModel.model_config["defer_build"]
