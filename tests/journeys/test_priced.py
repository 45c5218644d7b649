"""An API with a price, called by another tenant: charged once, never over the credit.

No page sells keys of other tenants' APIs yet, so the key is linked to the API in the database.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from gateway.store.embedded import EmbeddedPostgres
from tests.journeys.callers import Seen, crowd, one
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.redis_server import redis_server
from tests.support.waiting import until_blocking

PRICE = 2_500_000  # a quarter of a cent
APP = """
from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.get("/")
def fact():
    return {"fact": "cats"}


@app.get("/broken")
def broken():
    raise HTTPException(503)


@app.get("/missing")
def missing():
    raise HTTPException(404)
"""


@dataclass(frozen=True)
class Shop:
    """A priced API of one tenant, and another tenant with a key for it."""

    made: Installation
    api_id: str
    seller_key: str
    buyer_key: str
    buyer_tenant: str
    buyer_token: str

    def give(self, calls: int, key: str) -> None:
        """Credit for so many calls."""
        body = {"amount_nano_usd": calls * PRICE, "idempotency_key": key}
        with self.made.admin() as admin:
            answer = admin.post(f"/api/admin/tenants/{self.buyer_tenant}/credit", json=body)
        assert answer.status_code == 200, answer.text

    def balance(self) -> dict[str, int]:
        """Of the buyer, by the ledger."""
        with self.made.client(Authorization=f"Bearer {self.buyer_token}") as client:
            value: dict[str, int] = client.get("/api/credit").json()
        return value

    def spent(self, calls: int) -> bool:
        """Whether the ledger has so many paid calls."""
        return self.balance()["spent_nano_usd"] == calls * PRICE


def open_shop(made: Installation, name: str) -> Shop:
    """Seller and buyer, both new."""
    api = made.deploy(f"sells {name}", APP, price_nano_usd=PRICE)
    with made.client() as client:
        body = {"email": f"{name}@example.com", "password": "long enough 1"}
        token = client.post("/auth/v1/signup", json=body).json()["access_token"]
    with made.client(Authorization=f"Bearer {token}") as client:
        own = client.post("/api/apis", json={"name": "own", "code": APP}).json()
    made.lift_limits(own["tenant_id"])
    asyncio.run(link(made, own["id"], api["id"]))
    return Shop(made, api["id"], api["api_key"], own["api_key"], own["tenant_id"], token)


async def link(made: Installation, own_api: str, api_id: str) -> None:
    """The key of the first API opens the second one as well."""
    connection = await asyncpg.connect(EmbeddedPostgres(made.data_dir).dsn("postgres"))
    await connection.execute(
        "insert into public.consumer_api_key_apis (key_id, api_id)"
        " select key_id, $2::uuid from public.consumer_api_key_apis where api_id = $1::uuid",
        own_api,
        api_id,
    )
    await connection.close()


def reconciled(made: Installation) -> dict[str, Any]:
    """What `sandgate reconcile --json` says."""
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "reconcile", "--json"],
        env={**os.environ, "SANDGATE_DATA_DIR": str(made.data_dir)},
        capture_output=True,
        text=True,
    )
    value: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == (0 if value["clean"] else 1)
    return value


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def code(answer: httpx.Response) -> tuple[int, str | None]:
    """Status, and the problem's code."""
    is_problem = answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else None


def test_a_call_is_paid_once_failures_are_free_and_no_credit_is_402(made: Installation) -> None:
    shop = open_shop(made, "paid")
    with made.client(Authorization=f"Bearer {shop.buyer_key}") as buyer:
        assert code(buyer.get(f"/{shop.api_id}/")) == (402, "no_credit")
        shop.give(3, "first")
        until_blocking(lambda: buyer.get(f"/{shop.api_id}/broken").status_code != 402)
        broken = [code(buyer.get(f"/{shop.api_id}/broken")) for _ in range(5)]
        assert broken == [(503, None)] * 5
        paid = [buyer.get(f"/{shop.api_id}/{path}").status_code for path in ("", "missing", "")]
        assert paid == [200, 404, 200]
        assert code(buyer.get(f"/{shop.api_id}/")) == (402, "no_credit")
    with made.client(Authorization=f"Bearer {shop.seller_key}") as seller:
        assert seller.get(f"/{shop.api_id}/").status_code == 200  # the owner's own calls are free
    until_blocking(lambda: shop.spent(3))
    with made.client(Authorization=f"Bearer {shop.buyer_token}") as client:
        items = client.get("/api/ledger").json()["items"]
    moved = sorted(item["amount_nano_usd"] for item in items)
    assert moved == [-PRICE, -PRICE, -PRICE, 3 * PRICE]
    assert reconciled(made)["differences"] == []


async def call_until_402(shop: Shop, kills: Sequence[str], callers: int = 8) -> Seen:
    """Many callers until one hears that there is no credit; meanwhile processes are killed."""
    seen = Seen()
    async with crowd(shop.made.url, shop.buyer_key, callers) as client:

        async def keep_calling() -> None:
            while not seen.statuses[402]:
                await one(client, f"/{shop.api_id}/", seen)
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(keep_calling()) for _ in range(callers)]
        async with asyncio.timeout(60):
            for name in kills:
                wanted = seen.statuses[200] + 40
                while seen.statuses[200] < wanted and not seen.statuses[402]:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(shop.made.kill, name)
            await asyncio.gather(*tasks)
    return seen


def test_gateway_and_worker_killed_under_load_lose_and_invent_no_money(
    made: Installation,
) -> None:
    """What was answered is paid; what broke off is paid at most once; the rest can be spent."""
    shop = open_shop(made, "killed")
    calls = 400
    shop.give(calls, "first")
    seen = asyncio.run(call_until_402(shop, ["gateway", "worker"] * 2))
    until_blocking(lambda: shop.spent(calls))  # all of it, and not one call more
    answered = seen.statuses[200]
    assert answered <= calls
    assert calls - answered <= seen.broken.total()
    found = reconciled(made)
    assert (found["differences"], found["journal"]["pending"]) == ([], 0)


def test_two_gateways_never_spend_the_same_credit() -> None:
    """Over Redis, and one of them is killed: what it had in flight can only be missing."""
    require("bubblewrap")
    port = free_port()
    settings = {
        "SANDBOX_RUNTIME": "bubblewrap",
        "SANDBOX_START_SECONDS": "6",
        "REDIS_URL": f"redis://127.0.0.1:{port}",
    }
    with (
        redis_server("--port", str(port)),
        installation("--workers", "2", **settings) as made,
    ):
        shop = open_shop(made, "shared")
        calls, callers = 300, 8
        shop.give(calls, "first")
        seen = asyncio.run(call_until_402(shop, ["gateway-1"], callers))
        until_blocking(lambda: reconciled(made)["journal"]["pending"] == 0)
        paid = shop.balance()["spent_nano_usd"] // PRICE
        assert seen.statuses[200] <= paid <= calls
        assert calls - paid <= callers  # reserved by the one that was killed
        assert reconciled(made)["differences"] == []
