"""Use cases: (services, subject, input) to value."""
