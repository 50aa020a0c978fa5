"""Words and cells of what was found of one model."""
