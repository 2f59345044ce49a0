"""The ledger: what a decided block does to the state, the state itself, and what can be asked of it."""
