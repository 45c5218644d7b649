"""Mailed links and codes, driven by the real Supabase auth client."""

from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.issuer import APP, SITE, RunningIssuer, bearer
from tests.support.mailed import PASSWORD, Person, fragment_of
from tests.support.post import Mailbox, query_of, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def person(mailing_issuer: tuple[RunningIssuer, Mailbox], email: str) -> Person:
    issuer, mailbox = mailing_issuer
    return Person(issuer, mailbox, email)


async def test_a_sign_up_answers_the_person_and_no_session(person: Person) -> None:
    answer = await person.client.sign_up({"email": person.email, "password": PASSWORD})
    assert answer.session is None
    assert answer.user is not None
    assert answer.user.email_confirmed_at is None
    await person.mailbox.next()
    refused = await person.sign_in()
    assert (refused.status_code, refused.json()["code"]) == (400, "email_not_confirmed")


async def test_the_link_confirms_and_signs_in(person: Person) -> None:
    await person.sign_up()
    letter = await person.mailbox.next()
    assert letter.to == person.email
    answer = await person.open(query_of(letter))
    assert answer.headers["location"].startswith(f"{SITE}#")
    assert answer.headers["cache-control"] == "no-store"
    told = fragment_of(answer)
    assert (told["type"], told["token_type"]) == ("signup", "bearer")
    assert (await person.issuer.user(told["access_token"])).json()["email"] == person.email
    assert (await person.sign_in()).status_code == 200


async def test_a_link_works_once(person: Person) -> None:
    await person.sign_up()
    query = query_of(await person.mailbox.next())
    answers = [await person.open(query) for _ in range(2)]
    assert [fragment_of(answer).get("error_code") for answer in answers] == [None, "otp_expired"]


async def test_a_link_works_for_an_hour(person: Person) -> None:
    await person.sign_up()
    query = query_of(await person.mailbox.next())
    person.issuer.clock.ahead += 3601
    assert fragment_of(await person.open(query))["error_code"] == "otp_expired"


async def test_who_only_looks_at_a_link_does_not_use_it_up(person: Person) -> None:
    await person.sign_up()
    query = query_of(await person.mailbox.next())
    assert (await person.issuer.http.head("/verify", params=query)).status_code == 405
    assert "access_token" in fragment_of(await person.open(query))


async def test_a_link_leads_where_the_operator_allows(person: Person) -> None:
    await person.client.sign_up(
        {"email": person.email, "password": PASSWORD, "options": {"email_redirect_to": APP}}
    )
    answer = await person.open(query_of(await person.mailbox.next()))
    assert answer.headers["location"].startswith(f"{APP}#access_token=")


@pytest.mark.parametrize("name", ["redirect_to", "token"])
async def test_a_changed_link_leads_nowhere_else(person: Person, name: str) -> None:
    await person.sign_up()
    query = {**query_of(await person.mailbox.next()), name: "https://evil.example/"}
    answer = await person.open(query)
    assert answer.headers["location"].startswith(f"{SITE}#")


async def test_the_code_of_the_letter_confirms_too(person: Person) -> None:
    await person.sign_up()
    letter = await person.mailbox.next()
    answer = await person.client.verify_otp(
        {"email": person.email, "token": letter.code, "type": "email"}
    )
    assert answer.session is not None


async def test_after_five_wrong_codes_only_the_link_works(person: Person) -> None:
    await person.sign_up()
    letter = await person.mailbox.next()
    wrong = f"{(int(letter.code) + 1) % 1_000_000:06}"
    body = {"type": "signup", "email": person.email, "token": wrong}
    for _ in range(5):
        answer = await person.verify(body)
        assert (answer.status_code, answer.json()["code"]) == (403, "otp_expired")
    assert (await person.verify({**body, "token": letter.code})).status_code == 403
    answer = await person.verify({"type": "signup", "token_hash": token_of(letter)})
    assert answer.status_code == 200


async def test_the_code_belongs_to_its_address(person: Person) -> None:
    await person.sign_up()
    letter = await person.mailbox.next()
    other = Person(person.issuer, person.mailbox, f"bob-{uuid4()}@example.com")
    await other.sign_up()
    await other.mailbox.next()
    answer = await person.verify({"type": "signup", "email": other.email, "token": letter.code})
    assert answer.status_code == 403


async def test_the_same_is_told_about_known_and_unknown_addresses(person: Person) -> None:
    await person.confirmed()
    again = await person.sign_up("another horse")
    person.wait()
    same = await person.sign_up("another horse")
    stranger = Person(person.issuer, person.mailbox, f"bob-{uuid4()}@example.com")
    fresh = await stranger.sign_up()
    await stranger.mailbox.next()
    assert again["id"] == same["id"]
    assert again.keys() == fresh.keys()
    assert again["identities"][0].keys() == fresh["identities"][0].keys()
    assert (await person.sign_in("another horse")).status_code == 400


async def test_the_latest_sign_up_is_the_one_that_is_confirmed(person: Person) -> None:
    await person.sign_up("the thief's horse")
    stale = token_of(await person.mailbox.next())
    person.wait()
    await person.sign_up()
    fresh = token_of(await person.mailbox.next())
    assert (await person.verify({"type": "signup", "token_hash": stale})).status_code == 403
    assert (await person.verify({"type": "signup", "token_hash": fresh})).status_code == 200
    assert (await person.sign_in("the thief's horse")).status_code == 400
    assert (await person.sign_in()).status_code == 200


async def test_a_forgotten_password_is_replaced(person: Person) -> None:
    await person.confirmed()
    await person.client.reset_password_for_email(person.email, {"redirect_to": APP})
    answer = await person.open(query_of(await person.mailbox.next()))
    token = fragment_of(answer)["access_token"]
    changed = await person.issuer.http.put(
        "/user", json={"password": "another horse"}, headers=bearer(token)
    )
    assert changed.status_code == 200
    assert (await person.sign_in()).status_code == 400
    assert (await person.sign_in("another horse")).status_code == 200


async def test_a_changed_password_voids_links_of_before(person: Person) -> None:
    await person.confirmed()
    await person.ask("/recover")
    token = token_of(await person.mailbox.next())
    await person.client.update_user({"password": "another horse"})
    answer = await person.verify({"type": "recovery", "token_hash": token})
    assert answer.json()["code"] == "otp_expired"


async def test_a_token_is_good_for_its_own_purpose_only(person: Person) -> None:
    await person.confirmed()
    await person.ask("/recover")
    token = token_of(await person.mailbox.next())
    for wire in ("signup", "magiclink", "email_change", "invite", "email"):
        assert (await person.verify({"type": wire, "token_hash": token})).status_code == 403
    assert (await person.verify({"type": "recovery", "token_hash": token})).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/recover", {}),
        ("/otp", {"create_user": False}),
        ("/resend", {"type": "signup"}),
        ("/resend", {"type": "email_change"}),
    ],
)
async def test_an_unknown_address_gets_the_same_answer_and_no_letter(
    person: Person, path: str, body: dict[str, Any]
) -> None:
    known = await person.confirmed()
    stranger = Person(person.issuer, person.mailbox, f"bob-{uuid4()}@example.com")
    answers = [await who.ask(path, **body) for who in (known, stranger)]
    assert [(a.status_code, a.json()) for a in answers] == [(200, {})] * 2
    stranger.wait()
    await stranger.sign_up()  # its letter is the only one that a stranger gets
    letters = [await person.mailbox.next()]
    if letters[0].to == known.email:
        letters.append(await person.mailbox.next())
    assert [letter.subject for letter in letters if letter.to != known.email] == [
        "Confirm your address"
    ]
    assert person.mailbox.letters.empty()


async def test_signing_in_by_link_makes_the_account(person: Person) -> None:
    await person.client.sign_in_with_otp({"email": person.email})
    letter = await person.mailbox.next()
    answer = await person.client.verify_otp(
        {"email": person.email, "token": letter.code, "type": "email"}
    )
    assert answer.user is not None
    assert answer.user.email == person.email


async def test_a_password_that_no_mailbox_confirmed_is_dropped(person: Person) -> None:
    await person.sign_up("the thief's horse")
    await person.mailbox.next()
    await person.ask("/otp")
    token = token_of(await person.mailbox.next())
    assert (await person.verify({"type": "magiclink", "token_hash": token})).status_code == 200
    assert (await person.sign_in("the thief's horse")).status_code == 400


async def test_a_letter_a_minute_is_enough(person: Person) -> None:
    await person.ask("/recover")
    answer = await person.issuer.http.post("/recover", json={"email": person.email})
    assert (answer.status_code, answer.json()["code"]) == (429, "over_email_send_rate_limit")
    assert int(answer.headers["retry-after"]) > 0
    person.wait()
    assert (await person.ask("/recover")).status_code == 200


async def test_ten_letters_an_hour_are_enough(person: Person) -> None:
    answers = [await person.ask("/recover") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]


async def test_an_address_changes_when_both_mailboxes_agree(person: Person) -> None:
    await person.confirmed()
    wanted = f"new-{uuid4().hex}@example.com"
    answer = await person.client.update_user({"email": wanted})
    assert (answer.user.email, answer.user.new_email) == (person.email, wanted)
    letters = [await person.mailbox.next(), await person.mailbox.next()]
    assert {letter.to for letter in letters} == {person.email, wanted}
    halves = [
        await person.verify({"type": "email_change", "token_hash": token_of(letter)})
        for letter in letters
    ]
    assert halves[0].json()["user"] is None
    assert halves[1].json()["user"]["email"] == wanted
    assert (await person.sign_in()).status_code == 400
    assert (await person.issuer.sign_in(wanted, PASSWORD)).status_code == 200


async def test_one_mailbox_alone_changes_no_address(person: Person) -> None:
    await person.confirmed()
    wanted = f"new-{uuid4().hex}@example.com"
    await person.client.update_user({"email": wanted})
    letters = {letter.to: letter for letter in [await person.mailbox.next() for _ in range(2)]}
    half = await person.open(query_of(letters[wanted]))
    assert "Confirmation link accepted" in fragment_of(half)["message"]
    assert (await person.sign_in()).status_code == 200


async def test_an_address_of_somebody_is_neither_told_nor_taken(person: Person) -> None:
    await person.confirmed()
    other = await Person(person.issuer, person.mailbox, f"bob-{uuid4()}@example.com").confirmed()
    answer = await person.client.update_user({"email": other.email})
    assert answer.user.new_email == other.email
    assert (await person.mailbox.next()).to == person.email
    assert person.mailbox.letters.empty()
