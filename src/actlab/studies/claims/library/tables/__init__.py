"""Claims on tables."""
