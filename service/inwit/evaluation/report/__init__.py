"""What a run leaves behind: one page to read, and the same figures for machines."""
