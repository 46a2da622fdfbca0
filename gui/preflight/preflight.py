"""Looking at a set-up before it is merged: what it would do, and what stands in the way. No Qt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core import CancelToken, DeviceError, MergeError, MergePlan, OutputError, Recipe, RecipeError, plan_merge
from core.checkpoint.model import open_checkpoint
from core.checkpoint.output import free_disk_bytes
from core.devices import CPU, choose_devices, least_workers
from core.methods import METHODS, MethodSpec, ParameterValue
from core.plan.chunking import default_threads, peak_memory_bytes
from core.plan.estimate import Throughput, work_of
from core.plan.planning import check_destination
from core.recipe.recipe import ModelEntry
from core.units import bytes_text
from gui.document.merge_setup import MergeSetup, first_missing
from gui.failure import Failure, sentence
from gui.preflight.report import LedgerRow, PlanReport, Problem
from gui.words import weight_text

__all__ = ["look_ahead", "problem_of"]

_DISK_SHARE_TO_KEEP = 0.1

_MOST_ALIKE = 3
"""How many copies of other sub-models are named one by one."""

_COPIES_WITH_ONE_MODEL = {"linear", "parameter_selection"}

_FIELDS = (
    "tokenizer_source",
    "zero_tolerance",
    "out_dtype",
    "dtype",
    "nonfinite",
    "vocab",
    "seed",
)
"""Keys of a recipe that have a field of the same name."""


def look_ahead(setup: MergeSetup, throughput: Throughput, token: CancelToken) -> PlanReport:
    """Plan the merge that `setup` describes; headers are read, weights are not.

    Raises:
        Cancelled: after `token.cancel()`.
    """
    missing = first_missing(setup)
    base = setup.base if any(choice.folder == setup.base for choice in setup.taking_part) else None
    lacking = (Problem(missing[0], None, missing[1], base, missing=True),) if missing is not None else ()
    if missing is not None and missing[1] != "out":  # without an output folder there is much to say already
        return PlanReport(setup, errors=lacking, states=_states(setup, {}, token))
    try:
        recipe = setup.recipe()
    except RecipeError as error:
        errors = (problem_of(error, setup), *lacking)
        return PlanReport(setup, errors=errors, states=_states(setup, {}, token))
    token.raise_if_cancelled()
    try:
        plan = plan_merge(recipe, shard_size_bytes=setup.shard_size_bytes)
    except MergeError as error:
        problems, states = _misfits(setup, recipe, error, token)
        states = _states(setup, states, token)
        return PlanReport(setup, errors=(*problems, *lacking), states=states)
    token.raise_if_cancelled()
    fitting: dict[Path, str | None] = dict.fromkeys((choice.folder for choice in setup.taking_part), None)
    return _report(setup, plan, throughput, lacking, _states(setup, fitting, token))


def problem_of(error: MergeError, setup: MergeSetup) -> Problem:
    """`error` with the field of `setup`, or the model, that it is about."""
    failure = Failure.of(error)
    target, path = _place(error, setup)
    return Problem(failure.message, failure.hint, target, path)


def _report(
    setup: MergeSetup,
    plan: MergePlan,
    throughput: Throughput,
    lacking: Sequence[Problem],
    states: Mapping[Path, str | None],
) -> PlanReport:
    errors = list(lacking)
    warnings = list(_warnings(setup, plan))
    free = None
    if setup.out:
        out = Path(setup.out).expanduser().absolute()
        try:
            free = free_disk_bytes(out)
            check_destination(plan, out, overwrite=False)
            warnings += _disk_warnings(out, free - plan.bytes_to_write)
        except OutputError as error:
            errors.append(problem_of(error, setup))
    devices = [CPU]
    try:
        devices = choose_devices(setup.device)
    except DeviceError as error:
        errors.append(problem_of(error, setup))
    threads = max(setup.threads or default_threads(), least_workers(devices))
    return PlanReport(
        setup,
        plan=plan,
        bytes_to_read=plan.bytes_to_read,
        bytes_to_write=plan.bytes_to_write,
        memory_bytes=peak_memory_bytes(plan, threads),
        free_disk_bytes=free,
        estimate=throughput.estimate(work_of(plan, devices, threads)),
        tensors=len(plan.tensors),
        parameters=plan.parameters,
        ledger=_ledger(plan),
        warnings=tuple(warnings),
        errors=tuple(errors),
        states=states,
    )


def _ledger(plan: MergePlan) -> tuple[LedgerRow, ...]:
    outputs = {tensor.output.name: tensor for tensor in plan.tensors}
    rows = []
    for entry in plan.ledger:
        tensor = outputs.get(entry.name)
        shape = tensor.output.shape if tensor else ()
        dtype = tensor.output.dtype.name if tensor else ""
        elements = tensor.elements if tensor else 0
        values = _values_text(plan.recipe.method, entry.values)
        rows.append(LedgerRow(entry.name, shape, dtype, elements, entry.action, entry.reason, values))
    return tuple(rows)


def _values_text(
    method: MethodSpec, values: Iterable[tuple[str, ParameterValue | tuple[ParameterValue, ...]]]
) -> str:
    """ "resamples 4; weight 1, 0.5"; switches that are as they are by default are left out."""
    parts = []
    for name, value in values:
        spec = method.parameter(name)
        every = value if isinstance(value, tuple) else (value,)
        if spec is None or (spec.kind == "flag" and set(every) == {spec.default}):
            continue
        texts = [_value_text(one) for one in (every if len(set(every)) > 1 else every[:1])]
        parts.append(f"{name} {', '.join(texts)}")
    return "; ".join(parts)


def _value_text(value: ParameterValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else weight_text(value)


# -- what does not fit


def _misfits(
    setup: MergeSetup, recipe: Recipe, error: MergeError, token: CancelToken
) -> tuple[list[Problem], Mapping[Path, str | None]]:
    """Why there is no plan: every sub-model that does not fit, each tried alone, or else `error` itself."""
    if recipe.base is not None:
        try:
            open_checkpoint(recipe.base)
        except MergeError as broken:
            return [problem_of(broken, setup)], {}
    folders = _folders(setup)
    problems: list[Problem] = []
    states: dict[Path, str | None] = {}
    reference: tuple[ModelEntry, ...] = ()
    for entry in recipe.models:
        token.raise_if_cancelled()
        folder = folders[entry.path]
        try:
            plan_merge(replace(recipe, models=(*reference, entry), tokenizer_source=None))
        except MergeError as misfit:
            problem = replace(problem_of(misfit, setup), target="models", path=folder)
            problems.append(problem)
            states[folder] = problem.message
        else:
            states[folder] = None
            if recipe.base is None and not reference:
                reference = (entry,)
    return problems or [problem_of(error, setup)], states


def _states(
    setup: MergeSetup, known: Mapping[Path, str | None], token: CancelToken
) -> Mapping[Path, str | None]:
    """`known`, and of every other sub-model whether it fits: the same base, or else one that takes part."""
    others = tuple(choice for choice in setup.models if choice.folder not in known)
    first = next((choice for choice in setup.taking_part if known.get(choice.folder, "") is None), None)
    states = dict(known)
    if setup.base is None and METHODS[setup.method].base == "needed":
        return states
    for choice in others:
        token.raise_if_cancelled()
        pair = (choice,) if first is None or setup.base is not None else (first, choice)
        alone = replace(
            setup,
            models=tuple(replace(one, weight=1.0, enabled=True) for one in pair),
            k=len(pair),
            seed=0,
            rules=(),
            tokenizer_source=None,
        )
        try:
            plan_merge(alone.recipe())
            states[choice.folder] = None
        except RecipeError:  # it is the base
            continue
        except MergeError as misfit:
            problem = problem_of(misfit, setup)
            if problem.target == "base":  # then it says nothing about the sub-models
                return dict(known)
            states[choice.folder] = problem.message
    return states


def _folders(setup: MergeSetup) -> dict[Path, Path]:
    """The folders of the sub-models that take part, by what a recipe makes of them."""
    return {Path.cwd() / choice.folder: choice.folder for choice in setup.taking_part}


def _place(error: MergeError, setup: MergeSetup) -> tuple[str, Path | None]:
    """The target and the path of a Problem."""
    if isinstance(error, OutputError):
        return ("shard_size_bytes" if error.path is None else "out"), None
    if isinstance(error, DeviceError):
        return "device", None
    if isinstance(error, RecipeError):
        return _place_in_recipe(error.message, setup)
    if error.path is not None:
        if setup.base is not None and error.path.is_relative_to(Path.cwd() / setup.base):
            return "base", setup.base
        for place, folder in _folders(setup).items():
            if error.path.is_relative_to(place):
                return "models", folder
        if setup.tokenizer_source is not None:
            return "tokenizer_source", None
    return ("dtype" if "dtype:" in (error.hint or "") else "models"), None


def _place_in_recipe(message: str, setup: MergeSetup) -> tuple[str, Path | None]:
    entry = re.match(r"models, entry (\d+)", message)
    path = setup.taking_part[int(entry[1]) - 1].folder if entry is not None else None
    words = set(re.findall(r"\w+", message))
    for spec in METHODS[setup.method].parameters:
        if spec.name in words:
            return ("models" if spec.name == "weight" else spec.name), path
    if path is not None or "models" in words:
        return "models", path
    if "base_model" in words:
        return "base", None
    return next((name for name in _FIELDS if name in words), "method"), None


# -- warnings


def _warnings(setup: MergeSetup, plan: MergePlan) -> Iterator[Problem]:
    first = setup.taking_part[0].folder
    for warning in plan.warnings:
        about_tokens = "tokenizer" in warning and setup.tokenizer_source is not None
        target, path = ("tokenizer_source", None) if about_tokens else ("models", first)
        yield Problem(sentence(warning), None, target, path)
    seen: dict[Path, str] = {}
    again: list[Problem] = []
    merged = {entry.path for entry in plan.recipe.models}
    for folder in (choice.folder for choice in setup.taking_part):
        place = Path.cwd() / folder
        followed, name = place.resolve(), plan.names.get(place, folder.name)
        if place not in merged:
            yield Problem(f"{name} is the base, and is left out.", None, "models", folder)
        elif followed in seen:
            same = (
                f"{name} is in the list twice"
                if seen[followed] == name
                else f"{name} is {seen[followed]} again"
            )
            again.append(Problem(f"{same}, and so counts twice.", None, "models", folder))
        seen.setdefault(followed, name)
    if len(again) > _MOST_ALIKE:
        name = again[0].message.partition(" is ")[0]
        text = f"{len(again)} sub-models are copies of others in the list, {name} among them."
        yield Problem(text, "What is in the list twice counts twice.", "models", again[0].path)
    else:
        yield from again
    if len(plan.models) == 1 and plan.recipe.method.name in _COPIES_WITH_ONE_MODEL:
        yield Problem(
            f"The result will be a copy of {plan.models[0].name}, the only sub-model.",
            "Add others, or raise K.",
            "models",
        )


def _disk_warnings(out: Path, left: int) -> Iterator[Problem]:
    place = next(parent for parent in out.parents if parent.is_dir())
    if left < _DISK_SHARE_TO_KEEP * shutil.disk_usage(place).total:
        yield Problem(f"The disk will be nearly full: {bytes_text(left)} will be free.", None, "out")
