"""A user's own data: rows of a file, and rows as tokens."""
