"""What is forgotten about keys: all that a change names, found without a look at the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.key_cache import Entry, KeyCache
from gateway.auth.verified import VerifiedKey


def key(number: int, tenant: str = "t", plan: str = "free") -> VerifiedKey:
    return VerifiedKey(
        key_id=str(number),
        tenant_id=tenant,
        tenant_status="active",
        plan=plan,
        plan_limits={},
        tenant_limits={},
        limits={},
        api_ids=frozenset(),
        expires_at=None,
        is_revoked=False,
    )


def digest(number: int) -> bytes:
    return number.to_bytes(16)


class Watched(Entry):
    """Tells when somebody looks whose key it is."""

    looks = 0

    @property
    def key(self) -> VerifiedKey:
        Watched.looks += 1
        return self._key

    @key.setter
    def key(self, value: VerifiedKey) -> None:
        self._key = value


@pytest.fixture(autouse=True)
def _counted() -> None:
    Watched.looks = 0


@pytest.mark.parametrize("kind", ["tenant", "plan"])
def test_a_change_looks_at_the_keys_it_is_about(kind: str) -> None:
    cache = KeyCache(1000, 10)
    for number in range(500):
        cache.put(digest(number), Watched(key(number, f"t{number}", f"p{number}"), 0, 60))
    Watched.looks = 0
    cache.invalidate(kind, f"{kind[0]}7")
    assert Watched.looks < 10
    assert cache.known(digest(7)) is None
    assert len(cache) == 499


changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.sampled_from("ab"), st.sampled_from("xy")),
        st.tuples(st.just("unknown"), st.integers(0, 5), st.just(""), st.just("")),
        st.tuples(st.just("key"), st.integers(0, 5), st.just(""), st.just("")),
        st.tuples(st.just("tenant"), st.just(0), st.sampled_from("ab"), st.just("")),
        st.tuples(st.just("plan"), st.just(0), st.just(""), st.sampled_from("xy")),
    ),
    max_size=40,
)


@given(changes)
def test_exactly_what_a_change_names_is_forgotten(
    steps: list[tuple[str, int, str, str]],
) -> None:
    """Compared with a plain table, also when keys move between tenants and plans."""
    cache, known = KeyCache(1000, 10), dict[int, VerifiedKey]()
    for what, number, tenant, plan in steps:
        if what == "put":
            known[number] = key(number, tenant, plan)
            cache.put(digest(number), Entry(known[number], 0, 60))
        elif what == "unknown":
            known.pop(number, None)
            cache.put_unknown(digest(number), 0, 60)
        elif what == "key":
            known.pop(number, None)
            cache.invalidate("key", str(number))
        else:
            named = tenant or plan
            cache.invalidate(what, named)
            known = {n: k for n, k in known.items() if named not in (k.tenant_id, k.plan)}
        for each in range(6):
            entry = cache.known(digest(each))
            assert (entry and entry.key) == known.get(each)


def test_what_is_pushed_out_leaves_nothing_behind() -> None:
    cache = KeyCache(10, 10)
    for number in range(1000):
        cache.put(digest(number), Entry(key(number, f"t{number}", f"p{number}"), 0, 60))
    assert len(cache) == len(cache._digests) == len(cache._tenants) == len(cache._plans) == 10
