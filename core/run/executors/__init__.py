"""What chunks are worked off by."""
