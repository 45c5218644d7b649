"""Where links may lead."""

import pytest

from gateway.auth.issuer.redirects import Redirects, listed_in, with_query

SITE = "https://sandgate.example"
REDIRECTS = Redirects(
    SITE, listed_in("https://app.example/page, https://deep.example/in/**, myapp://done")
)


@pytest.mark.parametrize(
    "wanted",
    [
        SITE,
        "https://app.example/page",
        "https://APP.example/page",
        "https://app.example/page?next=%2Fa",
        "https://deep.example/in/here/and/there",
        "https://deep.example/in",
        "myapp://done",
    ],
)
def test_what_is_listed_is_allowed(wanted: str) -> None:
    assert REDIRECTS.target(wanted) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        "",
        "/page",
        "//app.example/page",
        "http://app.example/page",
        "https://app.example/page/below",
        "https://app.example/pager",
        "https://app.example:444/page",
        "https://app.example.evil.example/page",
        "https://app.example@evil.example/page",
        "https://evil.example\\@app.example/page",
        "https://app.example/page\r\nset-cookie: a=b",
        "https://deep.example/in/../out",
        "https://deep.example/in/%2E%2e/out",
        "https://deep.example/in/..%2fout",
        "https://deep.example/inner",
        "javascript:alert(1)//https://app.example/page",
        "data:text/html,x",
        "https://äpp.example/page",
        f"{SITE}/some-api",
        "https://app.example/page?" + "x" * 3000,
        "https://[app.example/page",
        "https://app.example:x/page",
    ],
)
def test_everything_else_leads_to_the_site(wanted: str | None) -> None:
    assert REDIRECTS.target(wanted) == SITE


def test_a_fragment_is_ours_alone() -> None:
    target = REDIRECTS.target("https://app.example/page#access_token=x")
    assert target == "https://app.example/page"


def test_a_query_is_kept() -> None:
    assert with_query("https://app.example/page?a=1", {"code": "x"}) == (
        "https://app.example/page?a=1&code=x"
    )


@pytest.mark.parametrize("text", ["app.example", "javascript:x", "https://u@app.example/"])
def test_a_listed_address_that_could_never_match_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        listed_in(text)
