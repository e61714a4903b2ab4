"""What is wrong with a gateway's surroundings, and what mends it: `inwit doctor`."""
