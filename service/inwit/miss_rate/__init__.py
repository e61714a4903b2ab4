"""How much harm is let out unseen: the miss rate in production (docs/decisions/0024)."""
