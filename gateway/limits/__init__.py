"""How much may be called: one all-or-nothing decision over all windows."""
