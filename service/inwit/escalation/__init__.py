"""Cases that wait for people: which one is next, for whom, and for how long it is theirs."""
