"""The scorecard's rules: bars written down beforehand, and how pieces of evidence make a grade."""
