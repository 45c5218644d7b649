-- Functions are the gateway's: Postgres would let everybody execute them.
-- A later migration that adds a function repeats these two statements for it.

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
