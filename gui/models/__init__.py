"""Choosing the models: the base, and the list of sub-models."""
