"""Self-contained HTML pages of studies, importance measurements and the function reference."""
