"""Entries of the ledger in other forms, in a folder or in object storage. Never any content."""
