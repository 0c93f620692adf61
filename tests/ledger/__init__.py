"""The ledger, on both of its databases."""
