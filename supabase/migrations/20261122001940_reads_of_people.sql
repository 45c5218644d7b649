-- People read sums and balances as themselves: both functions run with the rights of who calls
-- them, so that row-level security decides what is summed up.

grant execute on function public.api_analytics(uuid, timestamptz), public.gateway_credit(uuid)
    to authenticated;
