"""docs/methods.md has every method with its parameters and their defaults, and says how often it reads."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.dtypes import DTYPES
from core.methods import METHODS
from core.methods.spec import MethodSpec, ParameterSpec
from core.table import folds_read, trial_job

DOCUMENT = Path(__file__).parents[3] / "docs" / "methods.md"
SECTIONS = {
    name: " ".join(text.split())
    for name, text in re.findall(
        r"^### (\w+)$(.*?)(?=^##)", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
}
PER_MODEL = " ¹"


def _shown(spec: ParameterSpec) -> str:
    if spec.kind == "flag":
        return str(spec.default).lower()
    return spec.default if isinstance(spec.default, str) else f"{spec.default:g}"


def test_every_method_has_a_section_and_no_other() -> None:
    assert SECTIONS.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_the_section_has_the_parameters_and_their_defaults(name: str) -> None:
    said = re.findall(rf"`(\w+)` = (\S+?)({PER_MODEL})?(?=[,.]? )", _parameters(SECTIONS[name]))
    specs = METHODS[name].parameters
    assert sorted(said) == sorted(
        (spec.name, _shown(spec), PER_MODEL if spec.scope == "model" else "") for spec in specs
    )


def _parameters(section: str) -> str:
    found = re.search(r"- Parameters: (.*?) - ", section)
    assert found is not None, "the section has a line of parameters"
    return found[1] + " - "


SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"density": 0.5},
    {"density": 0.5, "rescale": True},
    {"density": 0.5, "rescale": False},
    {"density": 0.5, "rescale": True, "rescale_by": "density"},
    {"select_topk": 0.5},
    {"filter_wise": True},
    {"nuslerp_flatten": False},
    {"nuslerp_flatten": False, "nuslerp_row_wise": True},
)
"""What the number of reads depends on."""


@pytest.mark.parametrize("name", [name for name in METHODS if name != "task_vectors"])
def test_the_section_says_how_often_the_inputs_are_read(name: str) -> None:
    said = re.search(r"- Reads(?:: (.*?)\. |, source and departures: as `(\w+)`\.)", SECTIONS[name])
    assert said is not None
    if said[2] is not None:
        said = re.search(r"- Reads: (.*?)\. ", SECTIONS[said[2]])
        assert said is not None
    text = re.sub(r"`[^`]*` = 1\b", "", said[1])
    assert {int(number) for number in re.findall(r"\b\d\b", text)} == _reads(METHODS[name])


def _reads(method: MethodSpec) -> set[int]:
    """How often 16-bit models are read."""
    found = set()
    for setting in SETTINGS:
        if all(method.parameter(name) for name in setting):
            models = method.most_models or max(2, method.least_models)
            values = {
                name: [value] * models if method.parameter(name).scope == "model" else value  # type: ignore[union-attr]
                for name, value in setting.items()
            }
            job = replace(trial_job(method, DTYPES["BF16"], models, values), elements=10_000, row=100)
            found.add(1 + len(folds_read(job)))
    return found
