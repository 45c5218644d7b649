"""The gateway's HTTP server: reads callers strictly, hands calls on without a task where it can."""
