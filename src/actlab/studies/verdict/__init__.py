"""Verdict of a study, computed from its trials."""
