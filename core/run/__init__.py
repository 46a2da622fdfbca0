"""A plan executed: chunks, workers, what they found, and the record of it."""
