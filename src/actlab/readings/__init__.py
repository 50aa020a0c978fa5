"""What is derived from a formula: one printer per target."""
