"""Terminal views of what was found in one model."""
