"""What a key is narrowed to, and its end, as callers meet them on real sockets."""

from gateway.auth.keys import hash_key
from tests.support.datapath import SECRET, DataPath
from tests.support.rawhttp import Answer, ok, replies, serve_forever

READING = {"methods": ["GET"], "paths": ["/items", "/open/*"]}


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


async def test_a_scoped_key_calls_what_it_may_warm_and_cold(path: DataPath) -> None:
    route, _ = path.serve(serve_forever)
    key = path.store.add_key(route, scopes=READING)
    for _ in range(3):
        assert (await path.call(f"/{route.api_id}/items?a=/../b", key)).status == 200
        assert (await path.call(f"/{route.slug}@1/open/a", key)).status == 200


async def test_403_outside_of_its_scopes_reaches_nobody_and_counts_nowhere(
    path: DataPath,
) -> None:
    route, _ = path.serve(serve_forever)
    key = path.store.add_key(route, scopes=READING, limits={"day": 5})
    for _ in range(2):  # the second time everything is known already
        assert refusal(await path.call(f"/{route.api_id}/items", key, method="POST")) == (
            403,
            "key_scope",
        )
        assert refusal(await path.call(f"/{route.api_id}/closed", key)) == (403, "key_scope")
        assert (await path.call(f"/{route.api_id}/items", key)).status == 200
    answer = await path.call(f"/{route.api_id}/items", key)
    assert answer.header(b"x-ratelimit-remaining") == b"2"
    assert len(path.records()) == 3


TRICKS = (
    "/open/../closed",
    "/open/..",
    "/open/%2e%2e/closed",
    "/open/%2E%2e%2fclosed",
    "/open/%252e%252e/closed",
    "/open//closed",
    "/open/a%2Fb",
    "/open/..;/closed",
    "/open/a%5c..",
    "/OPEN/a",
    "/%6fpen/a",
    "//items",
    "/items/",
    "/items%00",
    "/./items",
    "/items/../closed",
)


async def test_no_way_around_a_path_scope(path: DataPath) -> None:
    route, _ = path.serve(serve_forever)
    key = path.store.add_key(route, scopes={"paths": READING["paths"]})
    for target in TRICKS:
        answer = await path.call(f"/{route.api_id}{target}", key)
        assert answer.status in (400, 403, 404), f"{target}, and never the app's 200"
    assert path.sandboxes.started == []


async def test_a_key_that_is_bound_to_addresses(path: DataPath) -> None:
    route, _ = path.serve(serve_forever)
    here = path.store.add_key(route, allowed_addresses=["127.0.0.0/8"])
    elsewhere = path.store.add_key(route, allowed_addresses=["192.0.2.0/24", "::/0"])
    claims = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")]
    for _ in range(2):
        assert (await path.call(f"/{route.api_id}", here, headers=claims)).status == 200
        answer = await path.call(f"/{route.api_id}", elsewhere, headers=claims)
        assert refusal(answer) == (403, "key_address")


async def test_a_change_of_scopes_counts_from_the_next_call(path: DataPath) -> None:
    route, key = path.serve(serve_forever)
    assert (await path.call(f"/{route.api_id}/closed", key)).status == 200
    row = path.store.keys[hash_key(key, SECRET)]
    row |= {"scopes": READING, "generation": 2}
    path.news.publish("key", row["key_id"])
    assert refusal(await path.call(f"/{route.api_id}/closed", key)) == (403, "key_scope")


async def test_every_answer_to_a_rotated_key_says_until_when_it_works(path: DataPath) -> None:
    forged = b"X-Sandgate-Key-Ends: never"
    route, key = path.serve(replies(ok(b"a", forged), ok(b"b", forged), ok(b"c", forged)))
    rotated = path.store.add_key(route, ends_at="2090-01-02T03:04:05+00:00", limits={"day": 2})
    for _ in range(2):  # cold and warm
        answer = await path.call(f"/{route.api_id}", rotated)
        assert answer.status == 200
        assert answer.header(b"x-sandgate-key-ends") == b"2090-01-02T03:04:05Z"
    limited = await path.call(f"/{route.api_id}", rotated)
    assert refusal(limited) == (429, "rate_limited")
    assert limited.header(b"x-sandgate-key-ends") == b"2090-01-02T03:04:05Z"
    plain = await path.call(f"/{route.api_id}", key)
    assert plain.header(b"x-sandgate-key-ends") is None


async def test_401_once_its_time_is_over(path: DataPath) -> None:
    route, _ = path.serve(serve_forever)
    over = path.store.add_key(route, ends_at="2020-01-02T03:04:05+00:00")
    assert refusal(await path.call(f"/{route.api_id}", over)) == (401, "key_replaced")


async def test_a_key_and_its_successor_share_what_they_may_use(path: DataPath) -> None:
    route, key = path.serve(serve_forever)
    row = path.store.keys[hash_key(key, SECRET)]
    row["limits"] = {"day": 3}
    successor = path.store.add_key(route, root_id=row["key_id"], limits={"day": 3})
    answers = [await path.call(f"/{route.api_id}", one) for one in (key, successor) * 2]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    subjects = {subject for record in path.records() for subject, _ in record["limits"]}
    assert {s for s in subjects if s.startswith("key:")} == {f"key:{row['key_id']}"}
    assert len({record["key_id"] for record in path.records()}) == 2
