"""From words to code that passed every gate. Knows no tenant, no table and no HTTP of ours."""
