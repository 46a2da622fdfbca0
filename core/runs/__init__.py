"""The runs of this machine: their history, and how two of them differ."""
