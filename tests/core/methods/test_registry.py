"""Every registered method through everything, and broken methods that do not get through."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from method_checks import (
    SMALL,
    check_in_memory,
    check_method,
    crossed_edges,
    every_case,
    make_models,
    model_numbers,
)

from core.draws import BLOCK
from core.dtypes import DTYPES, FLOATS
from core.kernels.interface import Counts, MapJob
from core.methods import METHODS, MethodSpec
from core.methods.folds import BlocksTotal, Fold, found_by
from core.methods.reference import Reference
from core.table import device_workspace, trial_job, workspace

MOST_MODELS = 4
HAS_TRITON = importlib.util.find_spec("triton") is not None

# Triton looks at this where a kernel is defined and where it runs; other modules' tests are not to see it.
if HAS_TRITON:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        importlib.import_module("core.kernels.gpu.workspace")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_models(folder, MOST_MODELS, rows=140)
    return folder


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A folder of this test's own, with links to the models."""
    return linked(models, tmp_path)


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    make_models(folder, MOST_MODELS, shapes=SMALL)
    return folder


@pytest.fixture
def small(small_models: Path, tmp_path: Path) -> Path:
    return linked(small_models, tmp_path)


def linked(models: Path, folder: Path) -> Path:
    for model in models.iterdir():
        (folder / model.name).symlink_to(model)
    return folder


def test_there_are_a_default_and_edges_of_each_parameter() -> None:
    for method in METHODS.values():
        cases = [values for name, _, values in every_case(full=False) if name == method.name]
        assert {} in cases
        assert {name for values in cases for name in values} == {spec.name for spec in method.parameters}


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method(method: MethodSpec, folder: Path) -> None:
    assert check_method(method, folder, model_numbers(method)[-1], {}), "the defaults are taken"


@pytest.mark.parametrize(("name", "count", "values"), every_case(full=False), ids=str)
def test_every_edge(name: str, count: int, values: dict[str, Any], small: Path) -> None:
    taken = check_in_memory(METHODS[name], small, count, values)
    assert taken or values, "the defaults are taken"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_edge_on_disk(method: MethodSpec, folder: Path) -> None:
    for name, count, values in every_case(full=True):
        if name == method.name:
            with told(count, values):
                check_method(method, folder, count, values)
            for out in folder.glob("out-*"):
                shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_all_edges_crossed(method: MethodSpec, small: Path) -> None:
    for count, values in crossed_edges(method):
        with told(count, values):
            check_in_memory(method, small, count, values)


@contextmanager
def told(count: int, values: dict[str, Any]) -> Iterator[None]:
    """A failure says with which values."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{count} sub-models, {values}")
        raise


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_kernels_give_what_the_arithmetic_gives(method: MethodSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, and interpreted on a device, for every type and every way to cut the elements."""
    for merge, out in itertools.product(FLOATS.values(), ("BF16", "F32")):
        models = 3 if method.most_models is None else method.most_models
        job = trial_job(method, merge, models, out_dtype=DTYPES[out])
        check_kernels(job, workspace(), 5000, 0)
    if not HAS_TRITON:
        return
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for merge in ("BF16", "F32"):
        models = 3 if method.most_models is None else method.most_models
        with np.errstate(all="ignore"):  # the interpreter computes with numpy
            check_kernels(trial_job(method, DTYPES[merge], models), device_workspace("cpu"), 5000, 1)


def check_kernels(job: MapJob, space: Any, elements: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = []
    for dtype in job.input_dtypes:
        row = random.integers(0, 256, elements * dtype.itemsize, np.uint8)
        if rows and len(rows[0]) == len(row):  # most deltas are zero
            row = np.where(np.repeat(random.random(elements) < 0.6, dtype.itemsize), rows[0], row)
        rows.append(row)
    reference, method = Reference(), METHODS[job.method]
    for buffer, row in zip(space.begin(job.input_dtypes, elements), rows, strict=True):
        buffer[:] = row.tobytes()
    job = replace(job, elements=elements)

    def read(job: MapJob, number: int) -> list[Any]:
        found = reference.fold(job, number, 0, rows)
        np.testing.assert_array_equal(space.fold(job, number, 0), found)
        return [found]

    job = found_by(method.folds_of(job), job, read)
    expected, counts = reference.merge(job, 0, rows)
    merged = space.run(job, 0)
    assert bytes(merged.data) == expected.tobytes()
    assert repr(vars(merged.counts)) == repr(vars(counts))


# -- methods that must not pass


def _copy(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    from core.methods import arithmetic

    return arithmetic.from_computing(arithmetic.to_computing(models[0], job), job), Counts.zeros(job)


def _by_chunk(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    from core.methods import arithmetic

    values = arithmetic.to_computing(models[0], job).nan_to_num(0.0, 0.0, 0.0)
    return arithmetic.from_computing(values - values.mean(), job), Counts.zeros(job)


def _unseeded(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    from core.methods import arithmetic

    values = arithmetic.to_computing(models[0], job)
    return arithmetic.from_computing(values * torch.rand(values.shape), job), Counts.zeros(job)


def _by_seed(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    from core.methods import arithmetic

    values = arithmetic.to_computing(models[0], job)
    return arithmetic.from_computing(values * (job.key[0] % 7), job), Counts.zeros(job)


def _merge_type(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    return models[0].to(torch.float32), Counts.zeros(job)


def _undeclared(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    merged, counts = _copy(job, first_element, models, base)
    counts.zero_delta = np.zeros(job.models, np.int64)
    return merged, counts


def _unordered_fold() -> Fold:
    """Its total is that of chunks, not of blocks."""

    def load() -> Callable[..., Any]:
        def read(job: MapJob, first_element: int, models: Any, base: Any) -> Any:
            return np.array([[models[0].to(torch.float64).nan_to_num(0, 0, 0).abs().max() + 1]])

        return read

    return Fold("toy", load, lambda job, total: {"scale": float(total[0])})


def _scaled(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    from core.methods import arithmetic

    scale = arithmetic.scalar(job.found["scale"], job, models[0])
    return arithmetic.from_computing(arithmetic.to_computing(models[0], job) * scale, job), Counts.zeros(job)


TOY = MethodSpec("toy", "Toy", "For tests.", "none", (), "ignored", lambda: _copy)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[MethodSpec], MethodSpec]:
    def add(spec: MethodSpec) -> MethodSpec:
        monkeypatch.setitem(METHODS, spec.name, spec)
        return spec

    return add


def test_a_sound_method_passes(register: Any, folder: Path) -> None:
    assert check_method(register(TOY), folder, 2, {})


def _centred_rows(job: MapJob, first_element: int, models: Any, base: Any) -> tuple[torch.Tensor, Counts]:
    """Every row less its own first and largest values: chunks that cut a row would show."""
    from core.methods import arithmetic

    rows = arithmetic.to_computing(models[-1], job).nan_to_num(0.0, 0.0, 0.0).reshape(-1, job.row)
    rows = rows - rows[:, :1] - rows.amax(dim=1, keepdim=True)
    return arithmetic.from_computing(rows.reshape(-1), job), Counts.zeros(job)


def test_a_fold_may_keep_its_blocks(register: Any, folder: Path) -> None:
    def load() -> Callable[..., Any]:
        def read(job: MapJob, first_element: int, models: Any, base: Any) -> Any:
            values = models[0].to(torch.float64).nan_to_num(0, 0, 0).abs()
            return np.array([[part.max().item()] for part in values.split(BLOCK)])

        return read

    fold = Fold("largest", load, lambda job, rows: {"scale": 1 + float(rows[:, 0].max())}, total=BlocksTotal)
    blocks = replace(TOY, name="blocks", load_arithmetic=lambda: _scaled, folds=(fold,))
    assert check_method(register(blocks), folder, 2, {})


def test_a_method_may_go_by_rows(register: Any, folder: Path) -> None:
    """Rows of 1,024 and of 130 elements, and pieces of 131,072: some are cut, and read twice."""
    rows = replace(TOY, name="rows", by_rows=True, load_arithmetic=lambda: _centred_rows)
    assert check_method(register(rows), folder, 2, {})


def test_a_method_of_rows_that_cuts_them_does_not_pass(register: Any, folder: Path) -> None:
    def cut(job: MapJob, first: int, models: Any, base: Any) -> Any:
        whole = models[0].numel() // 130 * 130
        return _centred_rows(replace(job, row=130 if models[0].numel() == whole else 1), first, models, base)

    with pytest.raises(AssertionError):
        check_method(register(replace(TOY, load_arithmetic=lambda: cut)), folder, 2, {})


@pytest.mark.parametrize(
    "broken",
    [
        replace(TOY, load_arithmetic=lambda: _by_chunk),
        replace(TOY, load_arithmetic=lambda: _unseeded),
        replace(TOY, load_arithmetic=lambda: _by_seed),
        replace(TOY, load_arithmetic=lambda: _merge_type),
        replace(TOY, load_arithmetic=lambda: _undeclared),
        replace(TOY, load_arithmetic=lambda: _scaled, folds=(_unordered_fold(),)),
    ],
    ids=["by chunk", "unseeded", "by seed", "of another type", "undeclared counts", "unordered fold"],
)
def test_a_broken_method_does_not_pass(broken: MethodSpec, register: Any, folder: Path) -> None:
    with pytest.raises((AssertionError, TypeError)):
        check_method(register(broken), folder, 2, {})
