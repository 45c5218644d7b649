"""Plan limits as a consumer meets them."""

import httpx

from tests.journeys import apps
from tests.journeys.callers import at_once, crowd
from tests.support.installation import Installation


def new_tenant(made: Installation, email: str) -> httpx.Client:
    """A person with a free personal tenant of their own, signed in."""
    with made.client() as client:
        answer = client.post("/auth/v1/signup", json={"email": email, "password": "long enough 1"})
    answer.raise_for_status()
    return made.client(Authorization=f"Bearer {answer.json()['access_token']}")


def test_call_101_within_the_hour_is_429_on_the_free_plan(made: Installation) -> None:
    with new_tenant(made, "hundred@example.com") as client:
        api = client.post("/api/apis", json={"name": "x", "code": apps.USER_APP}).json()
    with made.client(Authorization=f"Bearer {api['api_key']}") as caller:
        answers = [caller.get(f"/{api['id']}") for _ in range(101)]
    assert [answer.status_code for answer in answers[:100]] == [200] * 100
    assert answers[0].headers["x-ratelimit-limit"] == "100"
    assert answers[99].headers["x-ratelimit-remaining"] == "0"
    rejected = answers[100]
    assert (rejected.status_code, rejected.json()["code"]) == (429, "rate_limited")
    assert 0 < int(rejected.headers["retry-after"]) <= 3660


async def test_2000_parallel_calls_against_100_admit_exactly_100(made: Installation) -> None:
    with new_tenant(made, "crowd@example.com") as person:
        api = person.post("/api/apis", json={"name": "x", "code": apps.USER_APP}).json()
    async with crowd(made.url, api["api_key"]) as client:
        seen = await at_once(client, f"/{api['id']}", 2000)
    assert seen.statuses == {200: 100, 429: 1900}
    assert not seen.broken
