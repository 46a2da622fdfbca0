"""docs/methods.md has every method with its parameters and their defaults, and says how often it reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.methods import METHODS
from core.methods.spec import ParameterSpec

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
