"""The ledger: two rows for each priced call, once, together with its usage; it only grows."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.store.database import SERVICE, Database, DatabaseError, Filter, Row
from tests.support.factories import MadeApi, Person, make_api, make_user, usage_call

NOW = time.time()
HOUSE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def seller(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def buyer(dsn: str) -> Person:
    return await make_user(dsn)


@pytest.fixture
async def api(database: Database, seller: Person) -> MadeApi:
    return await make_api(database, seller.tenant_id)


def call(api: MadeApi, buyer: Person, price: Any = 5, **changed: Any) -> dict[str, Any]:
    """A call of somebody else's API."""
    return usage_call(
        api, NOW, caller_tenant_id=buyer.tenant_id, price_nano_usd=price, limits=[], **changed
    )


async def record(database: Database, *calls: dict[str, Any]) -> dict[str, int]:
    answer: dict[str, int] = await database.rpc(
        "record_usage", {"p_calls": list(calls)}, identity=SERVICE
    )
    return answer


async def entries(database: Database) -> list[Row]:
    return await database.select("ledger", identity=SERVICE, order="id")


async def credit(database: Database, tenant_id: str) -> dict[str, int]:
    answer: dict[str, int] = await database.rpc(
        "gateway_credit", {"p_tenant": tenant_id}, identity=SERVICE
    )
    return answer


async def grant(database: Database, tenant_id: str, amount: int, key: str = "k") -> dict[str, int]:
    arguments = {"p_tenant": tenant_id, "p_amount": amount, "p_key": key}
    answer: dict[str, int] = await database.rpc("grant_credit", arguments, identity=SERVICE)
    return answer


def sums(granted: int = 0, spent: int = 0, earned: int = 0) -> dict[str, int]:
    return {"granted": granted, "spent": spent, "earned": earned}


async def test_a_priced_call_debits_its_caller_and_credits_the_owner(
    database: Database, api: MadeApi, seller: Person, buyer: Person
) -> None:
    paid = call(api, buyer, 7)
    await record(database, paid)
    rows = await entries(database)
    moved = {(row["account"], row["amount_nano_usd"]) for row in rows}
    assert moved == {(buyer.tenant_id, -7), (seller.tenant_id, 7)}
    assert {(row["request_id"], row["api_id"], row["kind"]) for row in rows} == {
        (paid["request_id"], api.id, "call")
    }
    assert await credit(database, buyer.tenant_id) == sums(spent=7)
    assert await credit(database, seller.tenant_id) == sums(earned=7)
    (stored,) = await database.select("api_usage", identity=SERVICE, columns="price_nano_usd")
    assert stored == {"price_nano_usd": 7}


async def test_a_call_without_a_price_moves_nothing(
    database: Database, api: MadeApi, buyer: Person
) -> None:
    await record(database, usage_call(api, NOW), call(api, buyer, 0))
    assert await entries(database) == []


async def test_a_call_that_comes_again_is_paid_once(
    database: Database, api: MadeApi, buyer: Person
) -> None:
    calls = [call(api, buyer) for _ in range(30)]
    batches = [calls[:20], calls[10:], calls, calls[::-1]]
    await asyncio.gather(*(record(database, *batch, batch[0]) for batch in batches))
    assert len(await entries(database)) == 60
    assert await credit(database, buyer.tenant_id) == sums(spent=150)


async def test_a_call_whose_usage_is_gone_is_still_paid_once(
    database: Database, api: MadeApi, buyer: Person, owner: asyncpg.Connection
) -> None:
    """Months of usage are dropped; the ledger stays."""
    paid = call(api, buyer)
    await record(database, paid)
    await owner.execute("delete from public.api_usage")
    await record(database, paid)
    assert len(await entries(database)) == 2


async def test_a_price_that_is_none_is_rejected_alone(
    database: Database, api: MadeApi, buyer: Person
) -> None:
    wrong = [call(api, buyer, price) for price in (-1, "much", 10**30, 1.5)]
    outcome = await record(database, *wrong, call(api, buyer))
    assert (outcome["inserted"], outcome["rejected"]) == (1, 4)
    assert len(await entries(database)) == 2


async def test_nobody_pays_himself(database: Database, api: MadeApi) -> None:
    outcome = await record(database, usage_call(api, NOW, price_nano_usd=5))
    assert outcome == {"inserted": 0, "duplicates": 0, "rejected": 1}
    assert await entries(database) == []


async def test_what_is_written_stays_whoever_asks(owner: asyncpg.Connection) -> None:
    for statement in (
        "update public.ledger set amount_nano_usd = 1",
        "delete from public.ledger",
        "truncate public.ledger",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only grows"):
            await owner.execute(statement)


# --- credit ---


async def test_credit_comes_out_of_the_house(database: Database, buyer: Person) -> None:
    assert await grant(database, buyer.tenant_id, 100) == sums(granted=100)
    rows = await entries(database)
    assert {(row["account"], row["amount_nano_usd"], row["kind"]) for row in rows} == {
        (HOUSE, -100, "credit"),
        (buyer.tenant_id, 100, "credit"),
    }


async def test_the_same_key_grants_once_also_at_the_same_moment(
    database: Database, buyer: Person
) -> None:
    answers = await asyncio.gather(*(grant(database, buyer.tenant_id, 100) for _ in range(5)))
    assert answers == [sums(granted=100)] * 5
    assert await grant(database, buyer.tenant_id, 50, "other") == sums(granted=150)


async def test_the_same_key_is_another_one_for_another_tenant(
    database: Database, buyer: Person, seller: Person
) -> None:
    await grant(database, buyer.tenant_id, 100)
    assert await grant(database, seller.tenant_id, 30) == sums(granted=30)


async def test_a_key_does_not_stand_for_two_amounts(database: Database, buyer: Person) -> None:
    await grant(database, buyer.tenant_id, 100)
    with pytest.raises(DatabaseError) as caught:
        await grant(database, buyer.tenant_id, 101)
    assert caught.value.code == "idempotency_key_reused"


async def test_a_mistake_is_taken_back_by_an_adjustment(database: Database, buyer: Person) -> None:
    await grant(database, buyer.tenant_id, 100)
    assert await grant(database, buyer.tenant_id, -40, "back") == sums(granted=60)
    assert {row["kind"] for row in await entries(database)} == {"credit", "adjustment"}


NO_CREDITS = [
    (0, "k", "invalid_amount"),
    (10**15 + 1, "k", "invalid_amount"),
    (-(10**15) - 1, "k", "invalid_amount"),
    (1, "", "invalid_idempotency_key"),
    (1, "a b", "invalid_idempotency_key"),
    (1, "x" * 129, "invalid_idempotency_key"),
]


async def test_what_is_no_credit(database: Database, buyer: Person) -> None:
    for amount, key, code in NO_CREDITS:
        with pytest.raises(DatabaseError) as caught:
            await grant(database, buyer.tenant_id, amount, key)
        assert caught.value.code == code


async def test_a_tenant_that_is_not_there_gets_nothing(database: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await grant(database, str(uuid4()), 1)
    assert caught.value.code == "tenant_not_found"


async def test_a_credit_is_announced_and_audited_once(
    database: Database, buyer: Person, owner: asyncpg.Connection
) -> None:
    heard: list[object] = []
    await owner.add_listener("sandgate_changes", lambda *news: heard.append(news[3]))
    for _ in range(2):
        await grant(database, buyer.tenant_id, 100)
    await owner.execute("select 1")  # what was announced before this answer has arrived
    kinds = [json.loads(str(payload)) for payload in heard]
    assert [(news["kind"], news["id"]) for news in kinds] == [("credit", buyer.tenant_id)]
    where = [Filter("action", "eq", "credit.grant")]
    assert len(await database.select("audit_log", identity=SERVICE, where=where)) == 1


async def test_a_balance_is_read_from_one_row_however_long_the_ledger_is(
    owner: asyncpg.Connection, buyer: Person
) -> None:
    """It never looks at the entries."""
    await owner.execute("set enable_seqscan = off")
    plan = await owner.fetch(
        "explain select * from public.ledger_balances where account = $1", buyer.tenant_id
    )
    assert "Index Scan using ledger_balances_pkey" in plan[0][0]
