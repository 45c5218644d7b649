"""Routes of money: balance, movements, and credit given by administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StrictInt, StringConstraints

from gateway.control.models import Body, Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Administrator, Signed
from gateway.operations import ledger
from gateway.operations.ledger import Balance, Entry

router = APIRouter(prefix="/api", tags=["money"])

MAX_AMOUNT = 10**15  # a million USD
OfTenant = Annotated[UUID | None, Query(description="yours; absent: your personal one")]
Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


class CreditBody(Body):
    """An amount in nano-USD, below zero to take back; the same key is the same credit."""

    amount_nano_usd: StrictInt = Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)
    idempotency_key: Key
    note: Note = ""


@router.get("/credit")
async def read_credit(services: Ops, subject: Signed, tenant_id: OfTenant = None) -> Balance:
    """What is left to spend on priced calls, and what your APIs earned."""
    return await ledger.balance(services, subject, tenant_id)


@router.get("/ledger")
async def read_ledger(
    services: Ops,
    subject: Signed,
    tenant_id: OfTenant = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> Page[Entry]:
    """Every movement of money, newest first; paid calls carry their request id."""
    found = await ledger.entries(services, subject, tenant_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.post("/admin/tenants/{tenant_id}/credit")
async def grant_credit(
    tenant_id: UUID, body: CreditBody, services: Ops, subject: Administrator
) -> Balance:
    """Give a tenant credit; every gateway knows at once."""
    return await ledger.grant_credit(
        services, subject, tenant_id, body.amount_nano_usd, body.idempotency_key, body.note
    )
