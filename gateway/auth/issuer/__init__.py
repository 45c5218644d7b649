"""Embedded subset of the Supabase Auth wire contract."""
