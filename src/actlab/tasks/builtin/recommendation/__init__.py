"""Tasks of recommendation from implicit feedback."""
