"""The history of runs, and comparing two of them."""
