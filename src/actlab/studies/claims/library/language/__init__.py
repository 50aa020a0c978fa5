"""Claims on language models and text."""
