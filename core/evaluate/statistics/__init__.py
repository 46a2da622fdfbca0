"""Means, intervals and p-values, in numpy and without scipy."""
