"""The statistics of the evaluation: arrays in, figures with intervals out. Pure."""
