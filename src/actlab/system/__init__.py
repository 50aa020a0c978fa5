"""Operating-system services: CPU cores, memory allocator, cache folder and atomic file writes."""
