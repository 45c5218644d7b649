"""The store of an API does what a dictionary of JSON values does."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.database import SERVICE, Database
from gateway.store.kv import Found, KvStore, value_text
from gateway.store.staged_kv import StagedKvStore, is_stage, new_stage_id
from tests.support.factories import MadeApi, make_api, make_user
from tests.support.refusals import refusal

KEYS = st.sampled_from(["a", "b", "ab", "é", "zz"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, JSON),
        st.tuples(st.just("set_if_absent"), KEYS, JSON),
        st.tuples(st.just("replace"), KEYS, JSON),
        st.tuples(st.just("delete"), KEYS, st.none()),
        st.tuples(st.just("increment"), KEYS, st.integers(-5, 5)),
        st.tuples(st.just("list"), KEYS, st.none()),
    ),
    max_size=15,
)


@pytest.fixture(params=["api", "rehearsal"])
async def api(request: pytest.FixtureRequest, database: Database, dsn: str) -> MadeApi:
    """An API, and a rehearsal, whose data is in memory and follows the same rules."""
    made = await make_api(database, (await make_user(dsn)).tenant_id)
    return made if request.param == "api" else replace(made, id=new_stage_id())


@pytest.fixture
def store(database: Database) -> KvStore:
    return StagedKvStore(database)


async def step(store: KvStore, api: MadeApi, model: dict[str, Any], one: Any) -> None:
    action, key, value = one
    match action:
        case "set":
            assert await store.set(api.id, key, value_text(value))
            model[key] = value
        case "set_if_absent":
            done = await store.set(api.id, key, value_text(value), if_absent=True)
            assert done == (key not in model)
            model.setdefault(key, value)
        case "replace":
            there = model.get(key, "nothing")
            done = await store.set(api.id, key, value_text(value), if_equals=value_text(there))
            assert done == (key in model)
            if key in model:
                model[key] = value
        case "delete":
            assert await store.delete(api.id, key) == (key in model)
            model.pop(key, None)
        case "list":
            page = await store.list(api.id, prefix=key, with_values=True)
            wanted = sorted((k for k in model if k.startswith(key)), key=str.encode)
            assert (page.keys, page.is_complete) == (tuple(wanted), True)
            assert page.values == tuple(model[k] for k in wanted)
        case "increment":
            await increment(store, api, model, key, value)


async def increment(store: KvStore, api: MadeApi, model: dict[str, Any], key: str, by: int) -> None:
    old = model.get(key, 0)
    if type(old) is not int or len(str(abs(old))) > 19:
        with refusal("not_an_integer"):
            await store.increment(api.id, key, by)
    elif not -(2**63) <= old + by < 2**63:
        with refusal("out_of_range"):
            await store.increment(api.id, key, by)
    else:
        model[key] = old + by
        assert await store.increment(api.id, key, by) == model[key]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
async def test_it_does_what_a_dictionary_does(
    steps: list[Any], store: KvStore, api: MadeApi
) -> None:
    model: dict[str, Any] = {}
    for one in steps:
        await step(store, api, model, one)
    for key, value in model.items():
        assert await store.get(api.id, key) == Found(value)
    for key in model:
        assert await store.delete(api.id, key)
    assert (await store.list(api.id)).keys == ()


@pytest.mark.parametrize(
    "value",
    [
        "nul \0 inside",
        "lone \ud800 half",
        {"z": 1, "a": 2},
        1e22,
        1e300,
        12.0,
        10**40,
        [[], {}],
        "",
    ],
)
async def test_values_come_back_as_they_were(store: KvStore, api: MadeApi, value: Any) -> None:
    for _ in range(2):
        await store.set(api.id, "k", value_text(value))
    assert not await store.set(api.id, "k", "1", if_absent=True)
    assert await store.set(api.id, "k", value_text(value), if_equals=value_text(value))
    assert (await store.list(api.id, with_values=True)).values == (value,)
    found = await store.get(api.id, "k")
    assert found is not None
    assert (repr(found.value), type(found.value)) == (repr(value), type(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        value_text(value)


async def test_what_is_too_much_is_refused(store: KvStore, api: MadeApi) -> None:
    for key in ("", "k" * 513):
        with refusal("invalid_key"):
            await store.set(api.id, key, "1")
    with refusal("value_too_large"):
        await store.set(api.id, "k", '"' + "a" * 262_144 + '"')
    for number in range(39):
        await store.set(api.id, str(number), '"' + "a" * 256_000 + '"')
    with refusal("quota_exceeded"):
        await store.set(api.id, "k", '"' + "a" * 256_000 + '"')


async def test_pages_have_the_same_ends(store: KvStore, api: MadeApi) -> None:
    for number in range(5):
        await store.set(api.id, str(number), '"' + "a" * 250_000 + '"')
    page = await store.list(api.id, after="0", limit=2)
    assert (page.keys, page.values, page.is_complete) == (("1", "2"), None, False)
    heavy = await store.list(api.id, with_values=True)
    assert (heavy.keys, heavy.is_complete) == (("0", "1", "2", "3"), False)


async def test_a_rehearsal_leaves_no_row_and_sees_no_other(database: Database) -> None:
    store, one, other = StagedKvStore(database), new_stage_id(), new_stage_id()
    await store.set(one, "k", "1")
    assert await store.get(other, "k") is None
    assert await database.select("api_kv", identity=SERVICE) == []


def test_no_api_has_the_id_of_a_rehearsal() -> None:
    assert is_stage(new_stage_id())
    assert not any(is_stage(str(uuid4())) for _ in range(100))
    assert not is_stage("no id")
