"""Traces of migrations among what PostgREST offers."""

from gateway.store.migrate import Migration
from gateway.store.project_schema import missing

FIRST = Migration("1", "first", "create table public.a (x int); create index on public.a (x);")
SECOND = Migration(
    "2",
    "second",
    """create function public.f(p_a numeric(10, 2) default now()::text) returns jsonb as $$ $$;
    create or replace function public.t() returns trigger as $$ $$;""",
)
TRIGGERS = Migration("3", "triggers", "create function public.u() returns trigger as $$ $$;")
LATER = Migration("4", "later", "create table public.b (x int)")
DROPS = Migration("5", "drops", "drop table if exists public.b")


def test_nothing_is_missing() -> None:
    assert missing([FIRST, SECOND, TRIGGERS], ["/", "/a", "/rpc/f"]) == []


def test_what_left_no_trace_is_missing() -> None:
    assert missing([FIRST, SECOND], ["/", "/a"]) == ["2_second"]


def test_what_is_gone_again_leaves_no_trace() -> None:
    assert missing([FIRST, LATER, DROPS], ["/a"]) == []
    assert missing([FIRST, LATER], ["/a"]) == ["4_later"]
