"""Pack binary nets into bits, with integer arithmetic and a file format."""
