"""C99 projects of nets in integer arithmetic."""
