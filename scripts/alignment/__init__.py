"""The scenario of arXiv 2606.19527 in small: a narrow harm learnt, with and without alignment."""
