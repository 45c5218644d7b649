"""What a key gets of an API is worked out once, and remembered no longer than the key is."""

import gc
from dataclasses import replace
from weakref import ref

from gateway.auth.verified import VerifiedKey
from gateway.proxy.permit import Grants, Made, outside
from gateway.store.routes import Route
from tests.support.datapath import MemoryStore


def made(**changes: object) -> tuple[VerifiedKey, Route]:
    """A key and an API that it opens."""
    store = MemoryStore()
    route = store.add_api()
    store.add_key(route, **changes)
    return VerifiedKey.from_row(list(store.keys.values())[-1]), route


def test_the_same_key_and_api_have_the_same_grant() -> None:
    grants, (key, route) = Grants(), made()
    assert grants.of(key, route) is grants.of(key, route)


def test_an_api_that_changed_has_another_grant() -> None:
    grants, (key, route) = Grants(), made()
    before = grants.of(key, route)
    after = grants.of(key, replace(route, price_nano_usd=7))
    assert (before.price, after.price) == (0, 7)
    assert len(grants) == 1


def test_limits_that_did_not_change_are_the_same_object() -> None:
    """Else a limiter would prepare its question again for every key after every change."""
    grants, (key, route) = Grants(), made(limits={"minute": 9})
    before = grants.of(key, route)
    after = grants.of(key, replace(route, generation=2))
    assert after is not before
    assert after.limits is before.limits


def test_a_key_that_changed_has_another_grant() -> None:
    grants, (key, route) = Grants(), made()
    before, anew = grants.of(key, route), replace(key)
    assert grants.of(anew, route) is not before
    assert len(grants) == 1


def test_a_grant_goes_with_its_key() -> None:
    grants, (key, route) = Grants(), made()
    grants.of(key, route)
    del key
    gc.collect()
    assert len(grants) == 0


def test_a_key_that_was_replaced_does_not_take_the_new_grant_along() -> None:
    grants, (key, route) = Grants(), made()
    grants.of(key, route)
    anew = replace(key)
    grants.of(anew, route)
    del key
    gc.collect()
    assert len(grants) == 1


def test_an_api_as_it_was_is_not_kept() -> None:
    grants, (key, route) = Grants(), made()
    grants.of(key, route)
    gone = ref(route)
    del route
    gc.collect()
    assert gone() is None


def test_no_more_are_remembered_than_allowed() -> None:
    grants = Grants(size=2)
    pairs = [made() for _ in range(3)]
    for key, route in pairs:
        grants.of(key, route)
    assert len(grants) == 2


def test_a_key_that_is_not_narrowed_includes_every_call() -> None:
    key, _ = made()
    assert outside(key, Made("DELETE", b"/../x", "unknown")) is None
