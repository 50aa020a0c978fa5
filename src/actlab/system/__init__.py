"""CPU cores, memory allocator, cache folder, atomic file writes and settings from keyword options."""
