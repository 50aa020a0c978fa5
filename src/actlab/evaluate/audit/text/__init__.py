"""Overlap of texts by runs of tokens, within and across splits and with reference texts."""
