"""Trial store in SQLite or PostgreSQL."""
