"""The API that the first start deploys; its file is read as text, never imported."""
