"""Losses and scores of models, and what can be told from them."""
