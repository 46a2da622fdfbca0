"""The table of rules by layer and by name."""
