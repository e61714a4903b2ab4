"""Private data and secrets in text: found, masked, and told from what a caller sent first."""
