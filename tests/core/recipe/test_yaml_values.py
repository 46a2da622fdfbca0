"""YAML as plain values: what a SafeLoader reads, and bounds on what aliases and merge keys repeat."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RecipeError
from core.recipe.file import load_recipe
from core.recipe.yaml_values import Dumper, NotYaml, read_documents

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def read_yaml(text: str) -> Any:
    """The first document; None where there is none."""
    return next(iter(read_documents(text)), None)


@given(VALUES)
def test_what_pyyaml_writes_is_read_as_it_was(value: Any) -> None:
    assert read_yaml(yaml.safe_dump(value)) == value


@pytest.mark.parametrize("allow_unicode", [True, False])
@pytest.mark.parametrize(
    "text", ["1e3", "-1e-05", ".5E+1", "\x85", "a \u2028b\u2029", "f" * 1_001, "1:" * 501]
)
def test_text_is_written_so_that_it_stays_text(text: str, allow_unicode: bool) -> None:
    value = {text: [text]}
    assert read_yaml(yaml.dump(value, Dumper=Dumper, allow_unicode=allow_unicode)) == value


@given(st.text(alphabet="ab:-?[]{},&*!|>'\"%#\n 0123.<e~", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_yaml(text)
    except NotYaml as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}),
        ("a: {<<: [{k: 1}, {k: 2, l: 2}]}", {"a": {"k": 1, "l": 2}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("'<<': 1", {"<<": 1}),
        ("a: 1e-3\nb: .5e1\nc: 0x10\nd: 1:30", {"a": 1e-3, "b": 5.0, "c": 16, "d": 90}),
        ("a: !!str 1", {"a": "1"}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_what_is_understood(text: str, value: Any) -> None:
    assert read_yaml(text) == value


def _bomb(line: str, count: int) -> str:
    return "a0: &a0 {x: 1}\n" + "".join(
        f"a{at}: &a{at} " + line.replace("N", ",".join([f"*a{at - 1}"] * 9)) + "\n" for at in range(1, count)
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (_bomb("{<<: [N]}", 60), "says more than"),
        (_bomb("[N]", 60), "says more than"),
        ("a: [" + "1," * 400_000 + "]", "says more than"),
        ("a: &a [*a]", "stands in itself"),
        ("a: *b", "stands for nothing"),
        ("a: {<<: 1}", "not a mapping"),
        ("? [1]\n: 2", "found unhashable key"),
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("- " * 100_000, "nested too deeply"),
        ("a: !!python/object/apply:os.system [ls]", "is not supported"),
        ("a: !!python/name:os.system ''", "is not supported"),
        ("a: 1" + ":1" * 1_000_000, "a number of 2,000,001 characters"),
        ("a: !!int x", "cannot be understood"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_refused(text: str, problem: str) -> None:
    before = time.process_time()
    with pytest.raises(NotYaml, match=problem):
        read_yaml(text)
    assert time.process_time() - before < 2


def test_thousands_of_models(tmp_path: Path) -> None:
    """Within a second of an idle processor; here one that others use as well."""
    path = tmp_path / "recipe.yaml"
    models = "".join(
        f"  - model: /data/models/a/long/path/to/run-{number}\n    parameters:\n      weight: 0.5\n"
        for number in range(5000)
    )
    path.write_text(f"merge_method: linear\nmodels:\n{models}")
    before = time.process_time()
    recipe = load_recipe(path)
    assert time.process_time() - before < 2
    assert len(recipe.models) == 5000
    assert recipe.models[-1].path == Path("/data/models/a/long/path/to/run-4999")


def test_a_pipe_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match="a named pipe"):
        load_recipe(tmp_path / "recipe.yaml")
