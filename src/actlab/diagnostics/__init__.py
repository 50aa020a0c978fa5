"""Questions about one model."""
