"""Training: the conscience adapter, and fine-tuning that a conscience watches over.

Needs the extra `train`; serving imports none of it.
"""
