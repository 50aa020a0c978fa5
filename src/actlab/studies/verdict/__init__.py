"""From rows to an answer."""
