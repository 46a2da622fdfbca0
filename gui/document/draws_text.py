"""A set-up's draws in words."""

from __future__ import annotations

from core.methods import METHODS
from gui.document.merge_setup import MergeSetup

__all__ = [
    "draws_text",
]


def draws_text(setup: MergeSetup) -> str:
    """ "n = 4, seed 7", of a set-up whose method draws; "seed 7" where it does not draw again."""
    method = METHODS[setup.method]
    n = method.parameter(method.draws.resamples) if method.draws and method.draws.resamples else None
    seed = f"seed {setup.seed}"
    if n is None:
        return seed
    if any(rule.parameter == n.name for rule in setup.rules):
        return f"several {n.short}, {seed}"
    return f"{n.short} = {setup.parameters.get(n.name, n.default)}, {seed}"
