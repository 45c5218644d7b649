"""The document of the control plane held against a running one: no 5xx, nothing it does not say."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.operations.file_urls import url_key
from gateway.operations.uploads import UploadParts
from gateway.store.blob_folder import BlobFolder
from tests.support.control import World
from tests.support.factories import make_api, make_tenant
from tests.support.issuer import served

EXAMPLES = 8  # of each operation, half of them out of order
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# what takes things away would leave nothing for the others to look at
KEPT = {("DELETE", "/api/apis/{api_id}"): {"api_id"}, ("DELETE", "/api/keys/{key_id}"): {"key_id"}}


async def names_of(world: World) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """A token's header, and what stands for parameters of paths."""
    person = await world.person(is_admin=True)
    tenant = await make_tenant(world.database, person)
    api = await make_api(world.database, tenant, created_by=person.id)
    values = {"api_id": api.id, "n": "1", "key_id": api.key.id, "tenant_id": tenant}
    return {"Authorization": f"Bearer {person.id}"}, values


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_every_answer_is_one_that_the_document_knows(
    world: World, mode: GenerationMode, tmp_path: Path
) -> None:
    files = UploadParts(
        BlobFolder(tmp_path, keep_free=0), lambda: [url_key(b"secret")], 10_000, 100_000
    )
    world.app.state.control = replace(world.app.state.control, uploads=files)
    headers, values = await names_of(world)
    async with served(world.app) as url:
        await asyncio.to_thread(walk, url, mode, headers, values)


def walk(
    url: str, mode: GenerationMode, headers: Mapping[str, str], values: Mapping[str, str]
) -> None:
    """Ask everything, each time the same."""
    document = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    faults: list[str] = []
    for found in document.get_all_operations():
        assert isinstance(found, Ok), found
        ask(found.ok(), url, mode, headers, values, faults)
    assert "\n\n".join(faults) == ""


def ask(
    operation: Any,  # schemathesis has no narrower type for it that is public
    url: str,
    mode: GenerationMode,
    headers: Mapping[str, str],
    values: Mapping[str, str],
    faults: list[str],
) -> None:
    """Some requests of one operation; a parameter of its path is mostly one that is there."""
    kept = KEPT.get((operation.method.upper(), operation.path), set())

    @seed(7)
    @settings(
        max_examples=EXAMPLES // 2,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            for name in case.path_parameters.keys() & values.keys() - kept:
                case.path_parameters[name] = values[name]
        answer = case.call(base_url=url, headers=dict(headers))
        try:
            case.validate_response(answer, checks=CHECKS)
        except Exception as error:
            faults.append(f"{operation.label}: {error}")

    with suppress(Unsatisfiable):  # nothing of it can be out of order
        once()
