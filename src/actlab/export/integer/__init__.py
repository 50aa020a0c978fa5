"""Nets in integer arithmetic, with int8 codes, packed bits and int32 sums."""
