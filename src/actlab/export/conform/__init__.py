"""Which activation functions an engine really runs, told from its outputs."""
