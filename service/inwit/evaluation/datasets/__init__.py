"""Labelled sets: where each comes from, what its label means, and how a local copy is read."""
