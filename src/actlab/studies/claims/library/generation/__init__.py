"""Claims on generative nets."""
