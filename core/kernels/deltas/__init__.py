"""Counts and sums of the deltas of one chunk (numba)."""
