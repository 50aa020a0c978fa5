"""Judgement of trained models on more than their metric, and audit of data."""
