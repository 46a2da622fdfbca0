"""Accelerations of the methods' folds and maps. See interface.py for what they have in common."""

from core import numba_cache as numba_cache  # before any kernel imports numba
