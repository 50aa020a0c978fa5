"""Trials, from the training of one arm on one seed to its row."""
