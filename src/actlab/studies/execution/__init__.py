"""Who runs which trial."""
