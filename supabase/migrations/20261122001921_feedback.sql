-- What people tell the operators, and what they are answered.

create table public.feedback (
    id uuid primary key,
    user_id uuid not null references public.user_profiles on delete cascade,
    type text not null check (type in ('bug', 'idea', 'question', 'praise', 'other')),
    status text not null default 'open' check (status in ('open', 'answered', 'closed')),
    title text not null check (char_length(title) between 1 and 200),
    text text not null check (char_length(text) between 1 and 5000),
    answer text check (char_length(answer) between 1 and 5000),
    answered_by uuid references public.user_profiles on delete set null,
    answered_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((answer is null) = (answered_at is null)),
    check (status <> 'answered' or answer is not null)
);
create index feedback_user_id_idx on public.feedback (user_id, created_at desc);
create index feedback_answered_by_idx on public.feedback (answered_by);
create index feedback_status_idx on public.feedback (status, created_at desc);

-- --- who may read -------------------------------------------------------------------------

-- Who answered is the operators' affair.
alter table public.feedback enable row level security;
revoke all on public.feedback from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.feedback to service_role;
grant select (
    id, user_id, type, status, title, text, answer, answered_at, created_at, updated_at
) on public.feedback to authenticated;

create policy own_feedback on public.feedback
    for select to authenticated using (user_id = (select auth.uid()));

-- How often each person wrote, whatever became of it since. What a crash of the server forgets
-- is an hour of counting.
create unlogged table private.feedback_counts (
    id bigint primary key generated always as identity,
    user_id uuid not null,
    at timestamptz not null
);
create index feedback_counts_user_id_idx on private.feedback_counts (user_id, at);
create index feedback_counts_at_idx on private.feedback_counts (at);
revoke all on private.feedback_counts from public, anon, authenticated, service_role;

-- --- changing -----------------------------------------------------------------------------

-- Answers the seconds to wait; 0 when it was stored. p: id, type, title, text.
create function public.create_feedback(
    p_user_id uuid, p jsonb, p_quantity int, p_seconds double precision
) returns double precision
language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz;
    v_over timestamptz;
    v_first timestamptz;
begin
    -- one at a time from one person; what is read below is newer than the lock
    perform pg_advisory_xact_lock(hashtextextended('feedback ' || p_user_id, 0));
    v_now := clock_timestamp();
    v_over := v_now - make_interval(secs => p_seconds);
    delete from private.feedback_counts where id in (
        select id from private.feedback_counts
         where at <= v_over
         order by at
         limit 20
           for update skip locked
    );
    select at into v_first
      from private.feedback_counts
     where user_id = p_user_id and at > v_over
     order by at desc
    offset p_quantity - 1
     limit 1;
    if found then
        return extract(epoch from v_first - v_over);
    end if;
    insert into private.feedback_counts (user_id, at) values (p_user_id, v_now);
    insert into public.feedback (id, user_id, type, title, text, created_at, updated_at)
    values (
        (p ->> 'id')::uuid, p_user_id, p ->> 'type', p ->> 'title', p ->> 'text', v_now, v_now
    );
    return 0;
end
$$;

-- p: answer, status; what is absent stays. An answer makes it answered unless a status is given.
create function public.answer_feedback(p_id uuid, p jsonb, p_actor uuid default null)
returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_row public.feedback;
    v_status text;
begin
    select * into v_row from public.feedback where id = p_id for update;
    if not found then
        perform private.refuse(404, 'feedback_not_found', 'There is no such feedback.');
    end if;
    v_status := coalesce(
        p ->> 'status', case when p ? 'answer' then 'answered' else v_row.status end
    );
    if v_status = 'answered' and coalesce(p ->> 'answer', v_row.answer) is null then
        perform private.refuse(409, 'not_answered', 'It has no answer yet.');
    end if;
    update public.feedback
       set status = v_status,
           answer = coalesce(p ->> 'answer', answer),
           answered_by = case when p ? 'answer' then p_actor else answered_by end,
           answered_at = case when p ? 'answer' then clock_timestamp() else answered_at end,
           updated_at = clock_timestamp()
     where id = p_id;
    perform private.audit(
        p_actor, 'feedback.answer', 'feedback', p_id::text,
        jsonb_build_object('status', v_status, 'before', v_row.status, 'answered', p ? 'answer')
    );
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
