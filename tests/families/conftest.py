"""The models, made once for all tests; and one thread for torch, whose pool costs more than they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from family import Family
from tuned import Made, fine_tune


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Finds the folder of a family's models, made when it is first asked for; not to be changed."""
    folders: dict[str, Path] = {}

    def find(family: Family) -> Path:
        if family.model_type not in folders:
            folders[family.model_type] = tmp_path_factory.mktemp("family")
            fine_tune(family, folders[family.model_type])
        return folders[family.model_type]

    return find
