"""Public listener of Sandgate: proxy, control API and everything they need."""
