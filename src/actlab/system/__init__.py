"""What the operating system offers: cores, memory allocator, atomic writes."""
