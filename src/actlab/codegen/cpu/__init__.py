"""CPU kernels compiled with LLVM."""
