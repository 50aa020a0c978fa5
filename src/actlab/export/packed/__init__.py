"""Packing of binary nets into bit words, with XOR arithmetic, thresholds and npz files."""
