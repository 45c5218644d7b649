"""Which sandboxes are left over when their API goes on."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.superseded import REST_SECONDS, Placed, superseded

NOW = 1000.0
LONG_AGO = NOW - REST_SECONDS


def placed(
    name: str,
    generation: int,
    *,
    api_id: str = "a",
    ready_at: float = LONG_AGO,
    lease_ends: float = LONG_AGO,
) -> Placed:
    return Placed(name, api_id, generation, ready_at, lease_ends)


def test_one_of_an_earlier_generation_that_nobody_holds_goes() -> None:
    assert superseded([placed("old", 1), placed("new", 2)], NOW) == ["old"]


def test_versions_that_serve_side_by_side_stay() -> None:
    assert superseded([placed("one", 2), placed("other", 2)], NOW) == []


def test_one_that_somebody_may_still_call_stays() -> None:
    assert superseded([placed("old", 1, lease_ends=NOW - 1), placed("new", 2)], NOW) == []


def test_a_later_one_that_may_be_withdrawn_again_ends_nobody() -> None:
    assert superseded([placed("old", 1), placed("new", 2, ready_at=NOW - 1)], NOW) == []


def test_other_apis_have_generations_of_their_own() -> None:
    assert superseded([placed("old", 1), placed("new", 2, api_id="b")], NOW) == []


@given(
    st.lists(
        st.builds(
            Placed,
            st.uuids().map(str),
            st.sampled_from(["a", "b"]),
            st.integers(0, 5),
            st.floats(0, NOW),
            st.floats(0, 2 * NOW),
        )
    )
)
def test_the_newest_generation_of_each_api_always_stays(ones: list[Placed]) -> None:
    ended = set(superseded(ones, NOW))
    for api_id in {one.api_id for one in ones}:
        newest = max(one.generation for one in ones if one.api_id == api_id)
        assert not ended & {
            one.sandbox_id for one in ones if (one.api_id, one.generation) == (api_id, newest)
        }
