"""Secrets and where an API may connect to: sizes, races, and what each change starts."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter
from tests.support.factories import MadeApi, Person, make_api, make_secret, make_user

HOSTS = ["api.example.com", "*.example.org", "db.example.net:5432", "*.example.edu:8443"]


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def api(database: Database, person: Person) -> MadeApi:
    return await make_api(database, person.tenant_id, egress={"hosts": HOSTS})


async def rpc(database: Database, function: str, **arguments: Any) -> Any:
    named = {f"p_{name}" if name != "p" else "p": value for name, value in arguments.items()}
    return await database.rpc(function, named, identity=SERVICE)


async def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(DatabaseError) as caught:
        await call
    return caught.value.status, caught.value.code


async def generation(database: Database, api: MadeApi) -> int:
    return int((await rpc(database, "gateway_route", ref=api.id))["generation"])


async def names(database: Database, api: MadeApi) -> set[str]:
    bundle = await rpc(database, "gateway_bundle", version_id=api.version_id)
    return {secret["name"] for secret in bundle["secrets"]}


# --- secrets ------------------------------------------------------------------------------


async def test_what_was_set_is_answered_byte_for_byte(database: Database, api: MadeApi) -> None:
    value = bytes(range(256)) * 20
    await make_secret(database, api.id, "TOKEN", value=value)
    bundle = await rpc(database, "gateway_bundle", version_id=api.version_id)
    (secret,) = bundle["secrets"]
    assert base64.b64decode(secret["value"], validate=True) == value
    assert (secret["name"], secret["hosts"], secret["placeholder"]) == ("TOKEN", None, None)


async def test_setting_and_deleting_start_a_generation_each(
    database: Database, api: MadeApi
) -> None:
    first = await make_secret(database, api.id, "TOKEN")
    again = await make_secret(database, api.id, "TOKEN", value=b"other")
    gone = await rpc(database, "delete_secret", api_id=api.id, name="TOKEN")
    assert [first["generation"], again["generation"], gone["generation"]] == [2, 3, 4]
    assert again["updated_at"] > first["updated_at"]
    assert await generation(database, api) == 4
    assert await names(database, api) == set()


async def test_audit_names_the_secret_and_never_the_value(
    database: Database, person: Person, api: MadeApi
) -> None:
    await make_secret(
        database, api.id, "TOKEN", value=b"hush", hosts=["api.example.com"], actor=person.id
    )
    await rpc(database, "delete_secret", api_id=api.id, name="TOKEN", actor=person.id)
    where = [Filter("action", "like", "secret.%")]
    entries = await database.select("audit_log", identity=SERVICE, where=where, order="id")
    assert [(e["action"], e["actor_id"], e["detail"]) for e in entries] == [
        ("secret.set", person.id, {"name": "TOKEN", "hosts": ["api.example.com"]}),
        ("secret.delete", person.id, {"name": "TOKEN"}),
    ]
    assert base64.b64encode(b"hush").decode() not in json.dumps(entries)


async def test_every_change_is_announced(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    heard: list[str] = []
    await owner.add_listener("sandgate_changes", lambda *args: heard.append(str(args[3])))
    changes: list[Callable[[], Awaitable[Any]]] = [
        lambda: make_secret(database, api.id, "TOKEN"),
        lambda: rpc(database, "delete_secret", api_id=api.id, name="TOKEN"),
        lambda: rpc(database, "update_api", api_id=api.id, p={"egress": {"hosts": []}}),
        lambda: rpc(database, "update_api", api_id=api.id, p={"tier": "gvisor"}),
        lambda: rpc(
            database,
            "update_api",
            api_id=api.id,
            p={"instances": {"min": 1, "max": 2, "concurrency": 5}},
        ),
    ]
    for change in changes:
        heard.clear()
        await change()
        await owner.execute("select 1")
        assert {(c["kind"], c["id"]) for c in map(json.loads, heard)} == {("api", api.id)}


async def test_unknown_secret_and_unknown_api(database: Database, api: MadeApi) -> None:
    call = rpc(database, "delete_secret", api_id=api.id, name="TOKEN")
    assert await refused(call) == (404, "secret_not_found")
    assert await refused(make_secret(database, str(uuid4()), "TOKEN")) == (404, "api_not_found")
    assert await generation(database, api) == 1


@pytest.mark.parametrize(
    "name", ["", "lower", "1ST", "A-B", "A B", "A\nB", "A" * 65, "Ä", "A;drop table apis", "A=B"]
)
async def test_the_table_refuses_other_names(database: Database, api: MadeApi, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        await make_secret(database, api.id, name)
    assert caught.value.sqlstate == "23514"


@pytest.mark.parametrize("text", ["'; drop table apis; --", "$1", "%s", '"', "\\", "\n"])
async def test_names_are_values_and_never_sql(database: Database, api: MadeApi, text: str) -> None:
    call = rpc(database, "delete_secret", api_id=api.id, name=text)
    assert await refused(call) == (404, "secret_not_found")


async def test_sixty_four_and_no_more(database: Database, api: MadeApi) -> None:
    for n in range(64):
        await make_secret(database, api.id, f"S{n}", size=1)
    assert await refused(make_secret(database, api.id, "S64")) == (422, "too_many_secrets")
    await make_secret(database, api.id, "S63", value=b"changed")


async def test_48_kib_together_and_no_more(database: Database, api: MadeApi) -> None:
    for n in range(3):
        await make_secret(database, api.id, f"S{n}", size=16384)
    call = make_secret(database, api.id, "S3", size=1)
    assert await refused(call) == (422, "too_many_secrets")
    await make_secret(database, api.id, "S2", size=16384)
    await make_secret(database, api.id, "S2", size=16000)
    await make_secret(database, api.id, "S3", size=384)


async def test_many_at_once_all_count(database: Database, api: MadeApi) -> None:
    for n in range(60):
        await make_secret(database, api.id, f"S{n}")
    outcomes = await asyncio.gather(
        *(make_secret(database, api.id, f"T{n}") for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, DatabaseError) for outcome in outcomes) == 6
    assert len(await names(database, api)) == 64
    assert await generation(database, api) == 65


async def test_two_at_once_are_two_generations(database: Database, api: MadeApi) -> None:
    answers = await asyncio.gather(
        make_secret(database, api.id, "TOKEN", value=b"one"),
        make_secret(database, api.id, "TOKEN", value=b"two"),
    )
    assert sorted(answer["generation"] for answer in answers) == [2, 3]
    last = max(answers, key=lambda answer: int(answer["generation"]))
    bundle = await rpc(database, "gateway_bundle", version_id=api.version_id)
    stored = base64.b64decode(bundle["secrets"][0]["value"])
    assert stored == (b"one" if last is answers[0] else b"two")


async def test_delete_while_it_is_set(database: Database, api: MadeApi) -> None:
    await make_secret(database, api.id, "TOKEN")
    outcomes = await asyncio.gather(
        make_secret(database, api.id, "TOKEN", value=b"new"),
        rpc(database, "delete_secret", api_id=api.id, name="TOKEN"),
    )
    is_gone_last = outcomes[1]["generation"] > outcomes[0]["generation"]
    assert await names(database, api) == (set() if is_gone_last else {"TOKEN"})


async def test_secrets_go_with_their_api(database: Database, api: MadeApi) -> None:
    await make_secret(database, api.id, "TOKEN")
    await rpc(database, "delete_api", api_id=api.id)
    assert await database.select("api_secrets", identity=SERVICE) == []
    assert await rpc(database, "gateway_bundle", version_id=api.version_id) is None


# --- where to -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "api.example.com",
        "a.example.org",
        "a.b.example.org",
        "*.a.example.org",
        "db.example.net:5432",
        "a.example.edu:8443",
    ],
)
async def test_a_placeholder_for_what_is_allowed(
    database: Database, api: MadeApi, host: str
) -> None:
    assert (await make_secret(database, api.id, "TOKEN", hosts=[host]))["hosts"] == [host]


@pytest.mark.parametrize(
    "host",
    [
        "other.example.com",
        "example.org",
        "evilexample.org",
        "example.org.evil.com",
        "*.com",
        "db.example.net",
        "db.example.net:80",
        "a.example.edu",
        "_.example.org.x",
        "%.example.org.x",
    ],
)
async def test_a_placeholder_for_what_is_not_allowed(
    database: Database, api: MadeApi, host: str
) -> None:
    call = make_secret(database, api.id, "TOKEN", hosts=["api.example.com", host])
    assert await refused(call) == (422, "secret_host_not_allowed")
    assert await names(database, api) == set()


async def test_egress_cannot_be_narrowed_under_a_placeholder(
    database: Database, api: MadeApi
) -> None:
    await make_secret(database, api.id, "TOKEN", hosts=["a.example.org"])
    for hosts in ([], ["api.example.com"], ["b.example.org"]):
        call = rpc(database, "update_api", api_id=api.id, p={"egress": {"hosts": hosts}})
        assert await refused(call) == (422, "secret_host_not_allowed")
    p = {"egress": {"hosts": ["a.example.org"]}}
    assert (await rpc(database, "update_api", api_id=api.id, p=p))["egress"] == p["egress"]


async def test_narrowing_and_a_new_placeholder_at_once(database: Database, api: MadeApi) -> None:
    outcomes = await asyncio.gather(
        make_secret(database, api.id, "TOKEN", hosts=["api.example.com"]),
        rpc(database, "update_api", api_id=api.id, p={"egress": {"hosts": []}}),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, DatabaseError) for outcome in outcomes) == 1


async def test_a_placeholder_that_code_may_know_stays(database: Database, api: MadeApi) -> None:
    seen = set()
    for _ in range(3):
        await make_secret(database, api.id, "TOKEN", hosts=["api.example.com"])
        bundle = await rpc(database, "gateway_bundle", version_id=api.version_id)
        seen.add(bundle["secrets"][0]["placeholder"])
    assert len(seen) == 1


@pytest.mark.parametrize(
    "egress",
    [
        [],
        {},
        {"hosts": "a"},
        {"hosts": [1]},
        {"hosts": ["A.example.com"]},
        {"hosts": ["a b"]},
        {"hosts": ["'"]},
        {"hosts": [""]},
        {"hosts": ["a"] * 101},
        {"hosts": ["a" * 263]},
        {"hosts": [], "ports": []},
    ],
)
async def test_the_table_refuses_what_is_no_egress(
    database: Database, api: MadeApi, egress: Any
) -> None:
    with pytest.raises(DatabaseError) as caught:
        await rpc(database, "update_api", api_id=api.id, p={"egress": egress})
    assert caught.value.sqlstate == "23514"


# --- tier, resources, instances -----------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "is_new_generation"),
    [
        ({"tier": "gvisor"}, True),
        ({"tier": None}, False),
        ({"resources": {"memory_mb": 512}}, True),
        ({"resources": {}}, False),
        ({"egress": {"hosts": ["other.example.com"]}}, False),
        ({"instances": {"min": 1, "max": 3, "concurrency": 7}}, False),
        ({"name": "new"}, False),
    ],
)
async def test_what_needs_other_sandboxes_is_a_new_generation(
    database: Database, api: MadeApi, p: dict[str, Any], is_new_generation: bool
) -> None:
    changed = await rpc(database, "update_api", api_id=api.id, p=p)
    assert changed["generation"] == (2 if is_new_generation else 1)


async def test_a_tier_can_be_taken_back(database: Database, api: MadeApi) -> None:
    await rpc(database, "update_api", api_id=api.id, p={"tier": "runc"})
    changed = await rpc(database, "update_api", api_id=api.id, p={"tier": None})
    assert (changed["tier"], changed["generation"]) == (None, 3)
    where = [Filter("action", "eq", "api.update")]
    entries = await database.select("audit_log", identity=SERVICE, where=where, order="id")
    assert [entry["detail"]["tier"] for entry in entries] == ["runc", "any"]


@pytest.mark.parametrize(
    "p",
    [
        {"tier": "none"},
        {"tier": "RUNC"},
        {"instances": {}},
        {"instances": {"min": 2, "max": 1, "concurrency": 1}},
        {"instances": {"min": 0, "max": 11, "concurrency": 1}},
        {"instances": {"min": 0, "max": 0, "concurrency": 1}},
        {"instances": {"min": 0, "max": 1, "concurrency": 0}},
        {"instances": {"min": 0, "max": 1, "concurrency": 1001}},
        {"instances": {"min": 0.5, "max": 1, "concurrency": 1}},
        {"instances": {"min": 0, "max": 1, "concurrency": 1, "more": 1}},
        {"instances": {"min": "0", "max": 1, "concurrency": 1}},
    ],
)
async def test_the_table_refuses_other_tiers_and_instances(
    database: Database, api: MadeApi, p: dict[str, Any]
) -> None:
    with pytest.raises(DatabaseError) as caught:
        await rpc(database, "update_api", api_id=api.id, p=p)
    assert caught.value.sqlstate == "23514"


async def test_the_gateway_learns_all_of_it(database: Database, person: Person) -> None:
    api = await make_api(
        database,
        person.tenant_id,
        tier="runc",
        instances={"min": 1, "max": 2, "concurrency": 9},
        lock="a==1",
        layer="sha256-1",
    )
    route = await rpc(database, "gateway_route", ref=api.id)
    assert (route["tier"], route["instances"]["max"]) == ("runc", 2)
    assert route["versions"][0]["layer"] == "sha256-1"
    version = await rpc(database, "gateway_version", api_id=api.id, n=1)
    assert version["layer"] == "sha256-1"
    bundle = await rpc(database, "gateway_bundle", version_id=api.version_id)
    assert (bundle["api_id"], bundle["lock"]) == (api.id, "a==1")


async def test_lock_and_layer_of_a_version_never_change(
    database: Database, api: MadeApi, owner: asyncpg.Connection
) -> None:
    for column in ("lock", "layer"):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await owner.execute(
                f"update public.api_versions set {column} = 'x' where id = $1", api.version_id
            )
        assert caught.value.message == "version_is_immutable"
