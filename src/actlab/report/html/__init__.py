"""Self-contained HTML pages, for use offline."""
