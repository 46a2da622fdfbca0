"""Trying models: base, one sub-model and the merge answer the same prompt, side by side."""
