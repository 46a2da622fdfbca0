"""Models in memory: what is asked for, what it is called, known by, and has room for."""
