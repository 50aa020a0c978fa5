"""Tasks of tables with rare positives."""
