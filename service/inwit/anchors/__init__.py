"""Other places that checkpoints of the ledger are sent to, so that its operator cannot deny one."""
