"""Recipe and headers become a plan; no weights are read."""
