"""Each version answers for itself: what a call met in one is not put down to another."""

from gateway.store.call_settings import CallSettings
from gateway.store.routes import ActiveVersion, Route
from sandbox.types import SandboxSpec, StartFailedError, StartFailure
from tests.support.datapath import DataPath
from tests.support.rawhttp import Handler, ok, replies, serve_forever

BROKEN = StartFailedError(StartFailure.EXCEPTION, "boom")


def serve_both(path: DataPath, old: Handler, new: Handler) -> tuple[Route, str, ActiveVersion]:
    """An API with its first version, and a second one that cannot start; the first replaces it."""
    route, key = path.serve(old)
    second = ActiveVersion(f"{route.api_id}-2", 2, 100)
    path.sandboxes.handlers[second.version_id] = new
    path.sandboxes.start_fails[second.version_id] = BROKEN

    def replaces(spec: SandboxSpec) -> bool:
        path.change(route, versions=route.versions)
        return spec.version_id == second.version_id

    path.replaces = replaces
    return route, key, second


def nonsense(count: int = 20) -> Handler:
    """A sandbox that speaks no HTTP."""
    return replies(*[b"nonsense\r\n\r\n"] * count, then_close=True)


async def codes(path: DataPath, route: Route, key: str, count: int) -> list[str]:
    """Of calls one after the other; empty for an answer of the app."""
    answers = [await path.call(f"/{route.api_id}", key) for _ in range(count)]
    return ["" if each.status == 200 else each.json()["code"] for each in answers]


async def test_a_failure_after_the_move_is_the_version_s_that_failed(path: DataPath) -> None:
    """Five in a row, of which the first call came from elsewhere."""
    route, key, second = serve_both(path, nonsense(), serve_forever)
    path.change(route, versions=(second,))
    assert await codes(path, route, key, 6) == ["api_bad_response"] * 5 + ["api_unhealthy"]


async def test_a_version_that_is_spared_is_spared_calls_from_elsewhere_too(path: DataPath) -> None:
    route, key, second = serve_both(path, nonsense(), serve_forever)
    assert await codes(path, route, key, 5) == ["api_bad_response"] * 5
    path.change(route, versions=(second,))
    assert await codes(path, route, key, 1) == ["api_unhealthy"]


async def test_an_answer_of_the_old_version_clears_nothing_of_the_new_one(path: DataPath) -> None:
    """Four failures, and the start that failed, make five."""
    route, key, second = serve_both(path, serve_forever, nonsense())
    del path.sandboxes.start_fails[second.version_id]
    path.change(route, versions=(second,))
    assert await codes(path, route, key, 4) == ["api_bad_response"] * 4
    path.sandboxes.start_fails[second.version_id] = BROKEN
    path.change(route, versions=(second,), generation=2)
    assert await codes(path, route, key, 1) == [""]
    assert path.endpoint.now().breakers == 1


async def test_an_answer_is_kept_under_no_version_that_did_not_give_it(path: DataPath) -> None:
    fresh = ok(b"old", b"cache-control: max-age=60")
    route, key, second = serve_both(path, replies(*[fresh] * 3), serve_forever)
    cached = path.change(route, settings=CallSettings(cache=True))
    path.replaces = lambda _spec: bool(path.change(cached))
    path.change(cached, versions=(second,))
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.body) == (200, b"old")
    assert path.endpoint.now().cache_stored == 0
