"""Asks judges about samples: each question once, its answer kept, failures counted."""
