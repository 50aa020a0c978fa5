"""Claims on training nets that classify images and signals."""
