-- At the first start of the database: passwords of the roles that auth and rest sign in with.
\set password `echo "$POSTGRES_PASSWORD"`
alter user authenticator with password :'password';
alter user supabase_auth_admin with password :'password';
