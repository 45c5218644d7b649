-- People read sums and balances as themselves: the functions run with the rights of who calls
-- them, so that row-level security decides what is summed up.

grant execute on function
    public.api_analytics(uuid, timestamptz),
    public.api_usage_sums(uuid, timestamptz),
    public.gateway_credit(uuid)
to authenticated;
