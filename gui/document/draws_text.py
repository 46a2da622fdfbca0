"""A set-up's draws in words."""

from __future__ import annotations

from gui.document.merge_setup import MergeSetup

__all__ = [
    "draws_text",
]


def draws_text(setup: MergeSetup) -> str:
    """ "n = 4, seed 7", of a set-up whose method draws."""
    n = "several n" if any(rule.parameter == "resamples" for rule in setup.rules) else None
    return f"{n or 'n = ' + str(setup.parameters.get('resamples'))}, seed {setup.seed}"
