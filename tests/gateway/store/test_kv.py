"""The store of an API does what a dictionary of JSON values does."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.database import Database
from gateway.store.kv import Found, KvStore, value_text
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


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def store(database: Database) -> KvStore:
    return KvStore(database)


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
