"""Export of trained binary nets to a bit-packed file format."""
