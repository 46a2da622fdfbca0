"""Per-sample losses of one model: batches, passes and what 16 bits cost."""
