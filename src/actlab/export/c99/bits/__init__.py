"""C99 of binary nets, with packed bits, rows of active inputs and sums in bit columns."""
