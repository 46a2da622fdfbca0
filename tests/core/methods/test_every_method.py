"""Every method against the same steps on whole tensors in numpy, and against these in wider types."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import oracles
import pytest
from oracles.cases import CHARACTERISTIC, PAIRS, SETTINGS, Setting
from oracles.data import DATA, tensor
from oracles.mutated import MUTATIONS
from whole_tensor import ByEngine, by_engine, computing, numbers, quantum, torch_only

from core.kernels.interface import SEGMENT, Workspace
from core.methods import METHODS

KEY = (0x12345678, 0x9ABCDEF0)
BFLOAT = ("BF16", "BF16")
TABLES = {"settings": SETTINGS, "characteristic": CHARACTERISTIC}
NAMES = list(SETTINGS)
ALL_SETTINGS = [(name, at) for name in NAMES for at in range(len(SETTINGS[name]))]
ALL_CHARACTERISTIC = [(name, at) for name in NAMES for at in range(len(CHARACTERISTIC[name]))]
SMALL = [name for name in DATA if name not in ("ordinary", "chunks") and not name.endswith("deltas")]
FEW = ["mixed", "special", "tiny", "untouched", "opposite", "three dimensions"]
BY_ROWS = ("nuslerp", "model_stock")
"""Methods whose settings differ in whether they go by rows."""

OPEN_IN_FLOAT64 = {"multislerp", "karcher"}
"""Their factors are computed on the host in no fixed order: in float64 the last bits are open."""

Case = tuple[str, str, int, str, tuple[str, str]]
"""A table, a method in it, the number of its setting, data, merge and output dtype."""


def given(case: Case) -> tuple[list[Any], dict[str, Any], Setting]:
    """What all implementations get: the inputs, keywords, and the setting."""
    table, name, at, data, pair = case
    setting = TABLES[table][name][at]
    shape, models, base = tensor(data, pair[0], setting.models)
    inputs = [models, base if setting.has_base else None, *pair]
    return inputs, {"shape": shape, "key": KEY}, setting


@lru_cache(maxsize=4096)
def merged(case: Case, space: Workspace | None = None, zero_tolerance: float | None = None) -> ByEngine:
    """By the engine in the smallest chunks."""
    (models, base, dtype, out), keywords, setting = given(case)
    return by_engine(
        case[1],
        [*models, base] if setting.has_base else models,
        dtype,
        out,
        setting.parameters,
        **keywords,
        has_base=setting.has_base,
        zero_tolerance=zero_tolerance,
        chunk=SEGMENT,
        space=space,
    )


def made_by(methods: Mapping[str, Any], case: Case, **others: Any) -> oracles.Made:
    """By an oracle."""
    inputs, keywords, setting = given(case)
    return methods[case[1]](*inputs, **keywords, **setting.parameters, **others)


def equal(ours: ByEngine, made: oracles.Made, case: Case) -> bool:
    """Whether they have the same bits and counts; bits up to the last ones where those are open."""
    if ours.counts != made.counts or ours.words.shape != made.words.shape:
        return False
    if case[1] not in OPEN_IN_FLOAT64 or case[-1][1] != "F64":
        return bool((ours.words == made.words).all())
    values, targets = numbers(ours.words, "F64"), numbers(made.words, "F64")
    with np.errstate(invalid="ignore"):
        near = np.abs(values - targets) <= 1e-14 * made.largest
    return bool((near | (values == targets) | (np.isnan(values) & np.isnan(targets))).all())


def test_every_method_is_tried() -> None:
    averages = {"linear"}  # test_average.py and test_contract_values.py, by single elements
    assert set(METHODS) - averages == set(SETTINGS) == set(CHARACTERISTIC) == set(oracles.METHODS)
    assert {mutation.method for mutation in MUTATIONS} == set(SETTINGS)


# -- the same steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "at"), ALL_SETTINGS)
def test_every_bit_is_that_of_the_steps_on_the_whole_tensor(name, at) -> None:
    case: Case = ("settings", name, at, "ordinary", BFLOAT)
    assert equal(merged(case), made_by(oracles.METHODS, case), case)


@pytest.mark.parametrize(
    ("name", "at", "data"),
    [
        (name, at, data)
        for name, at in ALL_CHARACTERISTIC
        for data in (FEW if at and name not in BY_ROWS else SMALL)
    ],
)
def test_every_bit_whatever_the_tensor(name, at, data) -> None:
    case: Case = ("characteristic", name, at, data, BFLOAT)
    assert equal(merged(case), made_by(oracles.METHODS, case), case)


@pytest.mark.parametrize(
    ("name", "at", "pair"),
    [(name, at, pair) for name, at in ALL_CHARACTERISTIC for pair in (PAIRS[1:3] if at else PAIRS[1:])],
)
def test_every_bit_whatever_the_types_with_kernels_and_without(name, at, pair) -> None:
    case: Case = ("characteristic", name, at, "mixed", pair)
    made = made_by(oracles.METHODS, case)
    assert equal(merged(case), made, case)
    assert equal(merged(case, torch_only()), made, case)


@pytest.mark.parametrize(("name", "at"), ALL_CHARACTERISTIC)
def test_every_bit_in_several_chunks_with_kernels_and_without(name, at) -> None:
    case: Case = ("characteristic", name, at, "chunks", BFLOAT)
    made = made_by(oracles.METHODS, case)
    assert equal(merged(case), made, case)
    assert equal(merged(case, torch_only()), made, case)


@pytest.mark.parametrize("tolerance", [0.0, 1e-4, 0.02])
@pytest.mark.parametrize(
    ("name", "at"),
    [
        *(("task_vectors", at) for at in range(1, len(CHARACTERISTIC["task_vectors"]))),
        ("parameter_selection", 0),
    ],
)
def test_differences_within_the_tolerance_are_none(name, at, tolerance) -> None:
    case: Case = ("characteristic", name, at, "ordinary", BFLOAT)
    ours = merged(case, zero_tolerance=tolerance)
    assert equal(ours, made_by(oracles.METHODS, case, zero_tolerance=tolerance), case)
    assert (ours.counts["zero_delta"] != merged(case).counts["zero_delta"]) == (tolerance > 0)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS[:3], ids="-".join)
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_on_every_tensor(name, pair) -> None:
    for at, data in itertools.product(range(len(SETTINGS[name])), (*FEW, "rows of one", "chunks")):
        case: Case = ("settings", name, at, data, pair)
        made = made_by(oracles.METHODS, case)
        assert equal(merged.__wrapped__(case), made, case), (at, data)
        assert equal(merged.__wrapped__(case, torch_only()), made, case), (at, data)


# -- the mathematics -----------------------------------------------------------------------------------------

BORDER = {("sce", 1): 0.01}
"""The share of elements of which a threshold decides otherwise in a wider type, where it is not below 0.001:
variances of differences of few bits are equal but for rounding errors."""

MIDDLES = {("ram", 0): 0.998, ("ramplus_tl", 0): 0.998, ("sce", 2): 0.98}
"""The share of equal elements of large deltas, where halves, thirds and fifths of sums of few bits lie in the
middle between two numbers, and what is made of rounded terms beside it."""


@pytest.mark.parametrize("deltas", ["large deltas", "small deltas"])
@pytest.mark.parametrize(
    "pair", [BFLOAT, *(pytest.param((t, t), marks=pytest.mark.slow) for t in ("F16", "F64"))], ids="-".join
)
@pytest.mark.parametrize(("name", "at"), ALL_CHARACTERISTIC)
def test_nearly_all_elements_are_the_mathematics_rounded_once(name, at, pair, deltas) -> None:
    case: Case = ("characteristic", name, at, deltas, pair)
    wide, out = pair[1] == "F64", pair[1]
    exact = made_by(oracles.METHODS, case, kind=np.longdouble if wide else np.float64)
    decided = np.ones(len(exact.words), bool)
    for one, other in zip(made_by(oracles.METHODS, case).choices, exact.choices, strict=True):
        decided &= one == other
    assert 1 - decided.mean() <= BORDER.get((name, at), 0.001)
    words, target = merged(case).words[decided], exact.words[decided]
    ours, theirs, largest = numbers(words, out), numbers(target, out), exact.largest[decided]
    unit, unit_of_computing = np.ldexp(1.0, quantum(theirs, out)), largest * np.finfo(computing(*pair)).eps
    units = 8 if wide and name in OPEN_IN_FLOAT64 else 4  # factors and C are of one type there
    assert (np.abs(ours - theirs) <= unit + units * unit_of_computing).all()
    if deltas == "large deltas":
        share = MIDDLES.get((name, at), 0.999)
    else:
        share = {"BF16": 0.9999, "F16": 0.9998}.get(out, 0.0)  # F16 has three bits less to spare
    assert wide or np.mean(words == target) >= share


# -- no step can be left out ---------------------------------------------------------------------------------


def cases_of(name: str) -> list[Case]:
    """Where a changed step is looked for, likely places first."""
    return [
        *(("characteristic", name, at, "mixed", BFLOAT) for at in range(len(CHARACTERISTIC[name]))),
        *(("settings", name, at, "ordinary", BFLOAT) for at in range(len(SETTINGS[name]))),
        *(
            ("characteristic", name, at, data, BFLOAT)
            for data in SMALL[1:]
            for at in range(len(CHARACTERISTIC[name]))
        ),
        *(
            ("characteristic", name, at, "mixed", pair)
            for pair in PAIRS[1:]
            for at in range(len(CHARACTERISTIC[name]))
        ),
    ]


def mutations() -> Iterator[Any]:
    """Each once, of the first method that has the step; of all that have it where there is time."""
    seen = set()
    for mutation in MUTATIONS:
        again = (mutation.module, str(mutation.changes)) in seen
        seen.add((mutation.module, str(mutation.changes)))
        marks = [pytest.mark.slow] if again else []
        yield pytest.param(mutation, marks=marks, id=f"{mutation.method}-{mutation.name}")


@pytest.mark.parametrize("mutation", mutations())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_step_can_be_another(mutation) -> None:
    changed = oracles.rewritten(mutation.module, *mutation.changes).METHODS
    for case in cases_of(mutation.method):
        try:
            made = made_by(changed, case)
        except ZeroDivisionError:
            return
        if not equal(merged(case), made, case):
            return
    pytest.fail("no case tells it from the method")
