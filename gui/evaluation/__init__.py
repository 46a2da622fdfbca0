"""Evaluating models on the user's own data, and what came of it."""
