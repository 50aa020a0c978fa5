"""What a function is: formula, record, spec, facts, and the catalogue."""
