"""Merging: starting a run, and its progress."""
