"""What every registered method must keep to, as one function that any method can be put through.

A method that gives other bytes in other chunks, threads, steps or kernels, that counts what it does not
declare, or that its own recipe, record, card or summary leaves out, does not pass.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from step_executor import StepExecutor

from core import Progress, load_recipe, plan_merge, read_record, run_merge, verify_output
from core.checkpoint.headers import encode_header
from core.cli.output import merge_summary, plan_document, plan_summary
from core.draws import BLOCK
from core.dtypes import DTYPES
from core.errors import RecipeError
from core.kernels.interface import COUNTS, Counts, MapJob, Workspace
from core.methods import METHODS, MethodSpec, ParameterSpec
from core.methods.folds import found_by
from core.methods.reference import Reference
from core.plan.choice import choose
from core.plan.merge_plan import MergePlan
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict
from core.run.record import RunRecord
from core.run.work import Executor
from core.table import workspace

__all__ = [
    "SMALL",
    "check_in_memory",
    "check_method",
    "crossed_edges",
    "edge_settings",
    "every_case",
    "make_models",
    "model_numbers",
    "recipe_data",
]

SHAPES = {
    # Three pieces of 256 KiB and a part of one, so that chunks differ; then every type, a scalar, nothing.
    "model.layers.0.mlp.weight": ("BF16", (403, 1024)),
    "model.layers.1.mlp.weight": ("F16", (5, 1000)),
    "model.layers.3.mlp.weight": ("BF16", (1300, 130)),  # rows that pieces cut
    "model.layers.2.mlp.weight": ("F32", (37, 130)),
    "model.norm.weight": ("F64", (77,)),
    "model.scale": ("BF16", ()),
    "model.none": ("BF16", (0, 4)),
    "model.steps": ("I64", (3,)),
}

SMALL = SHAPES | {
    # Blocks of 4,096 elements cut these, and rows of the second.
    "model.layers.0.mlp.weight": ("BF16", (9, 1024)),
    "model.layers.3.mlp.weight": ("BF16", (70, 130)),
    "model.layers.1.mlp.weight": ("F16", (5, 200)),
    "model.layers.2.mlp.weight": ("F32", (17, 13)),
}
"""For merges in memory."""


def model_numbers(method: MethodSpec) -> list[int]:
    """Numbers of sub-models to try: the least, and a few more where it takes them."""
    most = method.least_models + 2 if method.most_models is None else method.most_models
    return sorted({method.least_models, min(most, max(3, method.least_models))})


def edge_settings(method: MethodSpec, models: int) -> Iterator[dict[str, Any]]:
    """The defaults, and each parameter at its edges with the others as they are by default."""
    yield {}
    for spec in method.parameters:
        for value in _edges(spec):
            if spec.scope == "merge":
                yield {spec.name: value}
            else:
                yield {spec.name: [value] + [spec.default] * (models - 1)}
                if models > 1:
                    yield {spec.name: [spec.default] * (models - 1) + [value]}


def _edges(spec: ParameterSpec) -> tuple[Any, ...]:
    if spec.kind == "flag":
        return (not spec.default,)
    if spec.kind == "choice":
        return tuple(choice for choice in spec.choices if choice != spec.default)
    low, high = spec.minimum, spec.maximum
    if low is None:
        low = -1.5 if high is None else high - 4
    if high is None:
        high = max(2.5, low + 4)
    return (
        (int(low), int(high)) if spec.kind == "int" else (float(low), low + 0.3 * (high - low), float(high))
    )


def make_models(
    folder: Path,
    models: int,
    seed: int = 0,
    *,
    rows: int = 403,
    shapes: Mapping[str, tuple[str, tuple[int, ...]]] | None = None,
) -> None:
    """A base and sub-models in `folder`: most deltas are exactly zero, some values are none at all.

    With 140 `rows` the first tensor, which has most elements, still has two chunks.
    """
    random = np.random.default_rng(seed)
    first = next(iter(SHAPES))
    shapes = shapes or SHAPES | {first: (SHAPES[first][0], (rows, 1024))}
    bases = {name: _values(random, dtype, shape) for name, (dtype, shape) in shapes.items()}
    for number in range(models + 1):
        entries, data = {}, b""
        for name, (dtype, shape) in shapes.items():
            words = bases[name].copy()
            if number:
                changed = random.random(shape) < 0.35
                words = np.where(changed, _values(random, dtype, shape), words)
            begin = len(data)
            data += words.tobytes()
            entries[name] = (DTYPES[dtype], shape, begin, len(data))
        place = folder / ("base" if number == 0 else f"model-{number}")
        place.mkdir(parents=True)
        (place / "model.safetensors").write_bytes(encode_header(entries) + data)
        (place / "config.json").write_text(json.dumps({"model_type": "llama", "torch_dtype": "bfloat16"}))


def _values(random: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Any:
    values = (0.02 * random.standard_normal(shape)).astype(np.float64)
    if dtype == "I64":
        return random.integers(0, 9, shape)
    if dtype in ("F64", "F32", "F16"):
        return values.astype({"F64": np.float64, "F32": np.float32, "F16": np.float16}[dtype])
    words = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if words.size > 1000:
        words.flat[[5, 700]] = 0x7FC1, 0xFF80  # a NaN and an infinity
        words.flat[9] = 0x8000
    return words


def recipe_data(method: MethodSpec, models: int, values: Mapping[str, Any], seed: int = 7) -> dict[str, Any]:
    """A recipe of the models that `make_models` makes, with `values` by name, lists for sub-models."""
    entries: list[dict[str, Any]] = [{"model": f"model-{number}"} for number in range(1, models + 1)]
    shared = {}
    for name, value in values.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            for entry, own in zip(entries, value, strict=True):
                entry.setdefault("parameters", {})[name] = own
        else:
            shared[name] = value
    data: dict[str, Any] = {
        "merge_method": method.name,
        "base_model": "base",
        "models": entries,
        "seed": seed,
    }
    return data | ({"parameters": shared} if shared else {})


def check_method(method: MethodSpec, folder: Path, models: int, values: Mapping[str, Any]) -> bool:
    """Put a registered method through everything, with `models` sub-models and `values`.

    Args:
        method: one of METHODS.
        folder: with what `make_models` made.
        models: how many of them take part.
        values: of parameters; others have their defaults.

    Returns:
        Whether the method takes these values together; what it refuses, it must refuse in words.

    Raises:
        AssertionError: the method breaks something.
    """
    data = recipe_data(method, models, values)
    try:
        recipe = parse_recipe(data, folder)
        plan = plan_merge(recipe)
    except RecipeError as error:
        _check_refusal(method, error)
        return False
    _check_yaml(recipe, data, folder)
    _check_plan(method, plan, values)
    expected = _expected(plan)
    ways: list[tuple[dict[str, Any], Executor | None]] = [
        ({"threads": 1}, None),
        ({"threads": 2, "chunk_bytes": 1}, None),
        ({"threads": 2, "chunk_bytes": 1}, StepExecutor()),
    ]
    records: list[RunRecord] = []
    for number, (options, executor) in enumerate(ways):
        out = folder / f"out-{len(list(folder.glob('out-*')))}"
        progressed: list[Progress] = []
        record = run_merge(plan, out, executor=executor, progress=progressed.append, **options)
        _check_bytes(plan, out, expected, f"way {number}")
        assert verify_output(out).tensors == len(SHAPES)
        assert progressed[-1].fraction == 1.0, "every pass is counted"
        assert record.bytes_read == plan.bytes_to_read
        assert replace(read_record(out), seconds=record.seconds) == record
        records.append(record)
    for record in records[1:]:
        assert record.tensors == records[0].tensors, "counts and digests depend on how the work was cut"
    _check_record(method, plan, records[0])
    _check_words(method, plan, records[0], out)
    _check_seed(method, plan, data, folder, records[0])
    return True


def check_in_memory(method: MethodSpec, folder: Path, models: int, values: Mapping[str, Any]) -> bool:
    """What `check_method` does that no merge to disk is needed for: a small part of its time.

    The recipe and the plan are looked at; chunks of one and of two blocks, by the method's kernels where it
    has some, give the bytes and counts of the whole tensor by its arithmetic. `folder` is best of SMALL.
    """
    data = recipe_data(method, models, values)
    try:
        recipe = parse_recipe(data, folder)
        plan = plan_merge(recipe)
    except RecipeError as error:
        _check_refusal(method, error)
        return False
    _check_yaml(recipe, data, folder)
    _check_plan(method, plan, values)
    reference, space = Reference(), workspace()
    for tensor in plan.tensors:
        if tensor.job is None or not tensor.elements:
            continue
        rows = [_bytes_of(source.stored[0]) for source in tensor.inputs]
        expected, counts = reference.merge(_with_found(reference, tensor.job, rows), 0, rows)
        for size in (BLOCK, 2 * BLOCK):
            merged, counted = _by_chunks(space, tensor.job, rows, tensor.elements, size)
            assert merged == expected.tobytes(), f"{tensor.output.name} is not what the whole tensor gives"
            assert repr(vars(counted)) == repr(vars(counts)), "counts depend on how the work was cut"
    return True


def _by_chunks(
    space: Workspace, job: MapJob, rows: Sequence[Any], elements: int, size: int
) -> tuple[bytes, Counts]:
    """One tensor, chunks of `size` elements at a time: with the rows around them where it goes by rows."""

    def chunks() -> Iterator[tuple[int, slice | None]]:
        for first in range(0, elements, size):
            last = min(first + size, elements)
            begin, end = first // job.row * job.row, -(-last // job.row) * job.row
            buffers = space.begin(job.input_dtypes, end - begin)
            for buffer, row, dtype in zip(buffers, rows, job.input_dtypes, strict=True):
                buffer[:] = row[begin * dtype.itemsize : end * dtype.itemsize].tobytes()
            yield begin, None if (begin, end) == (first, last) else slice(first - begin, last - begin)

    def read(job: MapJob, number: int) -> Iterator[Any]:
        for first, inner in chunks():
            yield space.fold(job, number, first, inner)

    job = found_by(METHODS[job.method].folds_of(job), job, read)
    data, counts = b"", Counts.zeros(job)
    for first, inner in chunks():
        merged = space.run(job, first, inner)
        data += bytes(merged.data)
        counts.add(merged.counts)
    return data, counts


def _check_refusal(method: MethodSpec, error: RecipeError) -> None:
    assert error.message, "a refusal says what is wrong"
    assert error.hint, "a refusal says what to do"
    assert error.field in {spec.name for spec in method.parameters}, "a refusal names the parameter"


def _check_yaml(recipe: Any, data: Mapping[str, Any], folder: Path) -> None:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(dict(data)))
    assert load_recipe(path) == recipe
    path.write_text(yaml.safe_dump(recipe_as_dict(recipe)))
    again = load_recipe(path)
    assert again.values_for("x", 0.0) == recipe.values_for("x", 0.0)
    assert (again.method, again.base, len(again.models)) == (recipe.method, recipe.base, len(recipe.models))


def _check_plan(method: MethodSpec, plan: MergePlan, values: Mapping[str, Any]) -> None:
    merged = [tensor for tensor in plan.tensors if tensor.job is not None]
    assert merged
    for tensor in merged:
        assert tensor.job is not None
        assert set(tensor.job.parameters) == {spec.name for spec in method.parameters}
        for name, value in values.items():
            given = tensor.job.parameters[name]
            assert given == (tuple(value) if isinstance(value, list) else value)
        assert (tensor.job.base_dtype is not None) == method.reads_base
        assert [fold.name for fold in tensor.folds] == [fold.name for fold in method.folds_of(tensor.job)]
    size = sum(tensor.passes * source.bytes_to_read for tensor in merged for source in tensor.inputs)
    size += sum(s.bytes_to_read for tensor in plan.tensors if tensor.job is None for s in tensor.inputs)
    assert plan.bytes_to_read == size, "every pass is read"


def _expected(plan: MergePlan) -> dict[str, bytes]:
    """The bytes of every merged tensor by the method's own arithmetic, each tensor whole."""
    reference = Reference()
    result = {}
    for tensor in plan.tensors:
        job = tensor.job
        if job is None or not tensor.elements:
            continue
        rows = [_bytes_of(source.stored[0]) for source in tensor.inputs]
        job = _with_found(reference, job, rows)
        merged, _ = reference.merge(job, 0, rows)
        result[tensor.output.name] = merged.tobytes()
    return result


def _with_found(reference: Reference, job: MapJob, rows: Sequence[Any]) -> MapJob:
    folds = METHODS[job.method].folds_of(job)
    return found_by(folds, job, lambda job, number: [reference.fold(job, number, 0, rows)])


def _bytes_of(stored: Any) -> Any:
    with stored.path.open("rb") as file:
        file.seek(stored.offset)
        return np.frombuffer(bytearray(file.read(stored.size_bytes)), np.uint8)


def _check_bytes(plan: MergePlan, out: Path, expected: Mapping[str, bytes], way: str) -> None:
    shard = plan.shards[0]
    data = (out / shard.file_name).read_bytes()
    for tensor in plan.tensors:
        name, begin = tensor.output.name, tensor.placement.offset
        if name in expected:
            written = data[begin : begin + tensor.output.size_bytes]
            assert written == expected[name], f"{way}: {name} is not what the whole tensor gives"


def _check_record(method: MethodSpec, plan: MergePlan, record: RunRecord) -> None:
    assert record.recipe["merge_method"] == method.name
    assert record.contract == {"draws": 1, "average": 2}
    models = len(plan.models)
    for tensor, of_plan in zip(record.tensors, plan.tensors, strict=True):
        if tensor.action == "copied":
            continue
        assert isinstance(of_plan.job, MapJob)
        for name in COUNTS:
            counted = getattr(tensor, name)
            assert (counted is not None) == (name in of_plan.job.counts), f"{name} is counted as declared"
        assert len(tensor.nonfinite) == models + 1
        assert (tensor.nonfinite[-1] is not None) == method.reads_base
        job = of_plan.job
        if tensor.zero_after_draw is not None:
            assert len(tensor.zero_after_draw) == job.draws > 0
        if tensor.selected is not None:
            assert sum(tensor.selected) == tensor.elements
        if tensor.changed_by is not None:
            assert sum(tensor.changed_by) == tensor.elements


def _check_words(method: MethodSpec, plan: MergePlan, record: RunRecord, out: Path) -> None:
    models, draws = len(plan.models), max(t.job.draws for t in plan.tensors if t.job)
    card = (out / "README.md").read_text()
    for said in (method.title, method.source, method.help, f"merge_method: {method.name}"):
        assert said in card, f"the card says {said!r}"
    summary = merge_summary(plan, record, out)
    line = next(line for line in summary.splitlines() if line.startswith("method"))
    assert line in plan_summary(plan, choose(plan), 1).replace("method   ", "method      ")
    assert line.split()[1] == f"{method.name},"
    for spec in method.parameters:
        values = plan.values_of(spec.name) or (spec.default,)
        differs = values not in ((spec.default,), ((spec.default,) * models,))
        draws_again = spec.kind != "int" or method.draws is None or draws > 1
        is_number = spec.scope == "merge" and spec.is_number and draws_again
        if spec.name != "weight":
            said = f", {spec.short} = " in line
            assert said == (differs or is_number), f"the summary says numbers, and what differs: {spec.short}"
    assert (f", seed {plan.recipe.seed}" in line) == (draws > 0)
    json.dumps(plan_document(plan, choose(plan), 1))


def _check_seed(
    method: MethodSpec, plan: MergePlan, data: Mapping[str, Any], folder: Path, record: RunRecord
) -> None:
    other = plan_merge(parse_recipe({**data, "seed": 8}, folder))
    out = folder / f"out-{len(list(folder.glob('out-*')))}"
    again = run_merge(other, out, threads=1)
    same = [t.digest for t in again.tensors] == [t.digest for t in record.tensors]
    if method.draws is None:
        assert same, "what draws nothing does not depend on the seed"
    elif (
        len(plan.models) > 1
        and record.tensors[0].selected is not None
        and (method.weight is None or all(len(set(w)) == 1 for w in plan.values_of("weight")))
    ):
        assert not same, "what draws depends on the seed"


def every_case(full: bool) -> list[tuple[str, int, dict[str, Any]]]:
    """(method, sub-models, values) for each registered method: its defaults, and its edges one by one.

    Of the least number of sub-models that a method takes there are the defaults alone, but for `full`.
    """
    return [
        (method.name, models, values)
        for method in METHODS.values()
        for models in model_numbers(method)
        for values in edge_settings(method, models)
        if full or not values or models == model_numbers(method)[-1]
    ]


def crossed_edges(method: MethodSpec) -> Iterator[tuple[int, dict[str, Any]]]:
    """(sub-models, values): each edge of a parameter of the whole merge with each of any other."""
    one_each = [
        [{}, *({spec.name: edge} for edge in _edges(spec))]
        for spec in method.parameters
        if spec.scope == "merge"
    ]
    for models in model_numbers(method):
        for combined in itertools.product(*one_each):
            yield models, {name: value for one in combined for name, value in one.items()}
