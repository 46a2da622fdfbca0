"""A set-up that can be merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gui.document.merge_setup import MergeSetup, ModelChoice


@pytest.fixture
def make_setup(models: Path, tmp_path: Path) -> Callable[..., MergeSetup]:
    """A set-up of the three models that can be merged; keywords change it."""

    def make(**changes: object) -> MergeSetup:
        setup = MergeSetup(
            method="parameter_selection",
            base=models / "base",
            models=tuple(ModelChoice(models / f"run-{number}") for number in (1, 2, 3)),
            k=3,
            parameters={"resamples": 4},
            out=str(tmp_path / "out"),
        )
        return replace(setup, **changes)  # type: ignore[arg-type]

    return make
