"""Operating-system services (CPU cores, memory allocator, cache folder, atomic writes)."""
