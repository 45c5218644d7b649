"""Who may do what with which table: the matrix that tests and docs/row-security.md are made from.

A new table of schema `public` gets a row in `MATRIX`, a new function that people may call gets
one in `FUNCTIONS_OF_PEOPLE`. Then: `python -m tests.supabase.matrix_page > docs/row-security.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ACTORS: Final = ("owner", "admin", "developer", "viewer", "stranger", "anonymous", "service")
OPERATIONS: Final = ("select", "insert", "update", "delete")
PEOPLE: Final = ("owner", "admin", "developer", "viewer", "stranger")

Actor = Literal["owner", "admin", "developer", "viewer", "stranger", "anonymous", "service"]
Operation = Literal["select", "insert", "update", "delete"]
# all: rows of every tenant; own: rows of one's tenant and no other's; none: no such row is found;
# refused: the statement ends with SQLSTATE 42501
Verdict = Literal["all", "own", "none", "refused"]
Verdicts = tuple[Verdict, Verdict, Verdict, Verdict, Verdict, Verdict, Verdict]  # by actor

# fmt: off
#                       owner      admin      developer  viewer     stranger   anonymous  service
EVERYBODY: Verdicts = ("all",     "all",     "all",     "all",     "all",     "all",     "all")
MEMBERS: Verdicts   = ("own",     "own",     "own",     "own",     "none",    "refused", "all")
MANAGERS: Verdicts  = ("own",     "own",     "none",    "none",    "none",    "refused", "all")
ONESELF: Verdicts   = ("own",     "none",    "none",    "none",    "none",    "refused", "all")
SHOWN: Verdicts     = ("own",     "none",    "none",    "none",    "none",    "none",    "all")
SERVICE: Verdicts   = ("refused", "refused", "refused", "refused", "refused", "refused", "all")
NOBODY: Verdicts    = ("refused", "refused", "refused", "refused", "refused", "refused", "refused")
# fmt: on


@dataclass(frozen=True, slots=True)
class Rights:
    """Of one table. `at` finds the row in question: a column, and what of a `Side` it holds.

    `made_by` is the SQL that makes the row for one side, where the scene does not make it
    already; names in braces are parts of the side, quoted: {owner} {tenant} {api} {version} {key}.
    `hidden` are columns that people may not read where they may read the row.
    """

    at: tuple[str, str]
    select: Verdicts
    insert: Verdicts = SERVICE
    update: Verdicts = SERVICE
    delete: Verdicts = SERVICE
    hidden: tuple[str, ...] = ()
    made_by: str = ""

    def of(self, operation: Operation) -> Mapping[str, Verdict]:
        """Verdict by actor."""
        verdicts: Verdicts = getattr(self, operation)
        return dict(zip(ACTORS, verdicts, strict=True))

    @property
    def only_grows(self) -> bool:
        """Whether what was written stays, also before the gateway."""
        return self.update == self.delete == NOBODY


MATRIX: Final[Mapping[str, Rights]] = {
    "plans": Rights(("name", "plan"), EVERYBODY),
    "user_profiles": Rights(("id", "owner"), ONESELF),
    "public_profiles": Rights(("id", "owner"), SHOWN),
    "feedback": Rights(
        ("user_id", "owner"),
        ONESELF,
        hidden=("answered_by",),
        made_by="insert into public.feedback (id, user_id, type, title, text)"
        " values (gen_random_uuid(), {owner}, 'bug', 'title', 'text')",
    ),
    "tenants": Rights(("id", "tenant"), MEMBERS),
    "tenant_members": Rights(("user_id", "owner"), ONESELF),
    "tenant_invitations": Rights(
        ("tenant_id", "tenant"),
        MANAGERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        hidden=("token_hash",),
        made_by="insert into public.tenant_invitations"
        " (id, tenant_id, email, role, token_hash, expires_at)"
        " values (gen_random_uuid(), {tenant}, 'invited@example.com', 'viewer',"
        " encode(sha256(convert_to({tenant}, 'UTF8')), 'hex'), now() + interval '7 days')",
    ),
    "apis": Rights(("id", "api"), MEMBERS),
    "api_versions": Rights(("api_id", "api"), MEMBERS, update=NOBODY, delete=NOBODY),
    "deployments": Rights(("api_id", "api"), MEMBERS, delete=NOBODY),
    "api_kv": Rights(
        ("api_id", "api"),
        MEMBERS,
        made_by="insert into public.api_kv (api_id, key, value, bytes) values ({api}, 'a', '1', 2)",
    ),
    "api_kv_totals": Rights(
        ("api_id", "api"),
        MEMBERS,
        made_by="insert into public.api_kv_totals (api_id) values ({api})",
    ),
    "api_secrets": Rights(
        ("api_id", "api"),
        MEMBERS,
        hidden=("value", "bytes", "placeholder", "updated_by"),
        made_by="insert into public.api_secrets (api_id, name, value, bytes)"
        " values ({api}, 'TOKEN', 'ciphertext', 8)",
    ),
    "consumer_api_keys": Rights(("id", "key"), MEMBERS, hidden=("key_hash",)),
    "consumer_api_key_apis": Rights(("key_id", "key"), MEMBERS),
    "api_usage": Rights(("api_id", "api"), MEMBERS, update=NOBODY, delete=NOBODY),
    "uploads": Rights(
        ("api_id", "api"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into private.blobs (digest, held_until)"
        " values (encode(sha256(convert_to({api}, 'UTF8')), 'hex'), now());"
        " insert into public.uploads"
        " (id, tenant_id, purpose, api_id, digest, media_type, name, bytes, width, height)"
        " values (gen_random_uuid(), {tenant}, 'api_icon', {api},"
        " encode(sha256(convert_to({api}, 'UTF8')), 'hex'), 'image/png', 'a.png', 9, 1, 1)",
    ),
    "usage_days": Rights(
        ("api_id", "api"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.usage_days values ({api}, '2026-01-01', {key}, 1, {tenant},"
        " {tenant}, 1, 0, 0, 10, 20, 0, jsonb_build_object(150, 1))",
    ),
    "usage_rollups": Rights(
        ("api_id", "api"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.usage_rollups values ({api}, '2026-01-01', {tenant}, 1, 0, 0,"
        " 10, 20, '[]', '[]', '[]')",
    ),
    "rate_limit_usage": Rights(("subject", "counter"), MEMBERS),
    "jobs": Rights(
        ("tenant_id", "tenant"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        hidden=(
            "is_asked",
            "checkpoint",
            "new_api_id",
            "new_version_id",
            "idempotency_key",
            "request_hash",
            "worker",
            "claims",
            "heartbeat_at",
        ),
        made_by="insert into public.jobs (id, tenant_id, prompt, new_api_id, new_version_id)"
        " values (md5({tenant})::uuid, {tenant}, 'a clock', gen_random_uuid(), gen_random_uuid())",
    ),
    "job_events": Rights(
        ("tenant_id", "tenant"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.job_events (job_id, n, tenant_id, kind, text)"
        " values (md5({tenant})::uuid, 1, {tenant}, 'queued', 'It waits.')",
    ),
    "job_edits": Rights(
        ("tenant_id", "tenant"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.job_edits (job_id, tenant_id, api_id, from_version_id)"
        " values (md5({tenant})::uuid, {tenant}, {api}, {version})",
    ),
    "model_costs": Rights(
        ("tenant_id", "tenant"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.model_costs"
        " (id, tenant_id, purpose, provider, model, nano_usd, reserved_nano_usd)"
        " values (gen_random_uuid(), {tenant}, 'code', 'scripted', 'a', 1, 2)",
    ),
    "tenant_caps": Rights(
        ("tenant_id", "tenant"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.tenant_caps (tenant_id) values ({tenant})",
    ),
    "version_origins": Rights(
        ("api_id", "api"),
        MEMBERS,
        insert=NOBODY,
        update=NOBODY,
        delete=NOBODY,
        made_by="insert into public.version_origins (version_id, api_id, prompt, contract, body)"
        " values ({version}, {api}, 'a clock', '{{}}', '')",
    ),
    "audit_log": Rights(("target_id", "api"), ONESELF, update=NOBODY, delete=NOBODY),
    "ledger": Rights(("account", "tenant"), MEMBERS, update=NOBODY, delete=NOBODY),
    "ledger_balances": Rights(
        ("account", "tenant"), MEMBERS, insert=NOBODY, update=NOBODY, delete=NOBODY
    ),
}

# Signature, as `oid::regprocedure` writes it, of each function of schema `public` that people may
# call, with the reason.
FUNCTIONS_OF_PEOPLE: Final[Mapping[str, str]] = {
    "api_analytics(uuid,timestamp with time zone)": "sums over the calls that the reader may see",
    "api_usage_sums(uuid,timestamp with time zone)": "the same with the days of long ago",
    "gateway_credit(uuid)": "the balance of an account, where the reader may see it",
}

ADVICE: Final = (
    "Add it to MATRIX in tests/supabase/matrix.py: who reads it, who writes it, and in `made_by`"
    " how a row of a tenant is made. Then: python -m tests.supabase.matrix_page >"
    " docs/row-security.md"
)
