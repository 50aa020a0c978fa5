"""C99 projects of trained nets, without heap, stdio and libm."""
