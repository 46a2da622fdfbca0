"""Looking at a set-up before it is merged: what it would do, and what stands in the way. No Qt."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core import (
    CancelToken,
    CheckpointError,
    DeviceError,
    MergeError,
    MergePlan,
    OutputError,
    Recipe,
    RecipeError,
    RunningError,
    UnfinishedError,
    leftover_of,
    plan_merge,
)
from core.checkpoint.model import model_names, open_checkpoint
from core.checkpoint.output import free_disk_bytes, held_bytes
from core.checkpoint.stage_folders import stages_bytes
from core.methods import METHODS, MethodSpec, ParameterSpec, ParameterValue
from core.plan.choice import Choice, Expected, choose
from core.plan.chunking import peak_memory_bytes
from core.plan.estimate import Throughput
from core.plan.planning import check_destination
from core.recipe.recipe import ModelEntry
from core.text import message_text
from core.units import bytes_text
from gui.document.merge_setup import MergeSetup, ModelChoice, first_missing
from gui.failure import Failure, sentence
from gui.preflight.report import LedgerRow, PlanReport, Problem
from gui.preflight.taken import taken_output
from gui.preflight.vocabularies import tokens_report
from gui.words import ago_text, percent_text, weight_text

__all__ = ["look_ahead", "problem_of"]

_DISK_SHARE_TO_KEEP = 0.1

_FIELDS = {
    "merge_method": "method",
    "base_model": "base",
    "shard_size": "shard_size_bytes",
    **{
        name: name
        for name in (
            "models",
            "seed",
            "zero_tolerance",
            "dtype",
            "out_dtype",
            "nonfinite",
            "vocab",
            "tokenizer_source",
            "tokenizer",
            "missing",
            "slices",
            "stages",
            "chat_template",
            "out",
        )
    },
}
"""What the window calls the fields that errors are about; the method's parameters come besides."""


def look_ahead(setup: MergeSetup, throughput: Throughput, token: CancelToken) -> PlanReport:
    """Plan the merge that `setup` describes; headers are read, weights are not, but for a little of
    those that are not in memory: how fast their disk is.

    Raises:
        Cancelled: after `token.cancel()`.
    """
    report = _look_ahead(setup.as_read, throughput, token)
    return replace(report, setup=setup, errors=(*_unread(setup), *report.errors))


def _unread(setup: MergeSetup) -> Iterator[Problem]:
    """What was typed and cannot be taken."""
    for name, unread in setup.unread.items():
        yield Problem(unread.sentence, None, name, missing=not unread.text.strip())
    names = dict(zip(setup.unread_weights, model_names(list(setup.unread_weights)), strict=True))
    for folder, unread in setup.unread_weights.items():
        yield Problem(f"{names[folder]}: {unread.sentence}", None, "models", folder)


def _look_ahead(setup: MergeSetup, throughput: Throughput, token: CancelToken) -> PlanReport:
    """The same for a set-up in which nothing is unread."""
    missing = first_missing(setup)
    base = setup.base if any(choice.folder == setup.base for choice in setup.taking_part) else None
    lacking = _left_in(setup)
    if missing is not None:
        lacking = (Problem(missing[0], None, missing[1], base, missing=True), *lacking)
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


def problem_of(error: MergeError, setup: MergeSetup, recipe: Recipe | None = None) -> Problem:
    """`error` with the field of `setup`, or the model, that it is about.

    Args:
        error: says it by its address.
        setup: what was asked for.
        recipe: what was made of it; None where the error is from making it.
    """
    failure = Failure.of_setup(error)
    target, path = _place(error, setup, recipe)
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
    merges = [*dict(plan.stages).values(), plan]
    writes = sum(merge.bytes_to_write for merge in merges)
    free = None
    left = next((problem.left for problem in lacking if problem.left is not None), None)
    if setup.out:
        out = Path(setup.out).expanduser().absolute()
        try:
            free = free_disk_bytes(out)
            if left is None or not left.runs:
                check_destination(plan, out, overwrite=setup.overwrite, resume=left is not None)
                taken = taken_output(plan, out, resume=left is not None)
                if taken is not None:
                    text = message_text(f"{out} is replaced when the merge is done: {taken.content}.")
                    warnings.append(Problem(text, "Under another name, it stays.", "out"))
                held = held_bytes(out) + stages_bytes(out) if left is not None else 0
                warnings += _disk_warnings(out, free + held - writes)
        except (UnfinishedError, RunningError):  # another merge began, or ended, a moment ago
            errors += _left_in(setup)
        except OutputError as error:
            errors.append(_output_problem(error, setup, plan, out, resume=left is not None))
    try:
        choices = _choices(merges, setup, setup.device, throughput)
    except DeviceError as error:
        errors.append(problem_of(error, setup))
        choices = _choices(merges, setup, "cpu", throughput)
    choice = _after(choices[:-1], choices[-1])
    memory = (
        peak_memory_bytes(merge, one.devices, setup.threads)
        for merge, one in zip(merges, choices, strict=True)
    )
    return PlanReport(
        setup,
        plan=plan,
        bytes_to_read=sum(merge.bytes_to_read for merge in merges),
        bytes_to_write=writes,
        memory_bytes=max(memory),
        free_disk_bytes=free,
        estimate=choice.chosen.estimate,
        choice=choice,
        tensors=len(plan.tensors),
        parameters=plan.parameters,
        ledger=_ledger(plan),
        tokens=tokens_report(plan),
        warnings=tuple(warnings),
        errors=tuple(errors),
        states=states,
    )


def _choices(
    merges: Sequence[MergePlan], setup: MergeSetup, device: str, throughput: Throughput
) -> list[Choice]:
    """On what each of `merges` would run. Raises DeviceError."""
    return [
        choose(merge, device, setup.threads, throughput, warms_up=True, measures_disk=True)
        for merge in merges
    ]


def _after(before: Sequence[Choice], last: Choice) -> Choice:
    """`last` with the time that the merges `before` it take: it can begin when they are done."""

    def later(one: Expected) -> Expected:
        seconds = sum(
            same.seconds for choice in before for same in choice.expected if same.device == one.device
        )
        return replace(one, estimate=replace(one.estimate, start_s=one.estimate.start_s + seconds))

    expected = tuple(map(later, last.expected))
    return replace(last, expected=expected, fastest=later(last.fastest), chosen=later(last.chosen))


def _output_problem(
    error: OutputError, setup: MergeSetup, plan: MergePlan, out: Path, *, resume: bool
) -> Problem:
    """Why there can be no output at `out`, and what can be done about it where something is there."""
    problem = problem_of(error, setup, plan.recipe)
    taken = taken_output(plan, out, resume=resume) if error.field == "out" else None
    if taken is None:
        return problem
    if taken.refusal is not None:
        return replace(problem, message=taken.refusal.message, hint=taken.refusal.hint, taken=taken)
    text = message_text(f"{out} exists already: {taken.content}.")
    return replace(problem, message=text, hint=None, taken=taken)


def _left_in(setup: MergeSetup) -> tuple[Problem, ...]:
    """What another merge left in the output folder, or is writing there; empty for nothing."""
    try:
        left = leftover_of(Path(setup.out).expanduser()) if setup.out else None
    except OutputError:  # which is said by whoever checks the folder
        return ()
    if left is None:
        return ()
    if left.runs:
        text = message_text(f"Another merge is writing into this folder, {left}")
        return (
            Problem(sentence(text), "Wait until it is done, or choose another folder.", "out", left=left),
        )
    where = f"at {percent_text(left.fraction)}" if left.fraction else "before anything was finished"
    text = f"An earlier merge into this folder was cut off {where}, {ago_text(left.age_s)}."
    return (Problem(text, None, "out", left=left),)


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
    """ "resamples 4; weight 1, 0.5"; switches that are as they are by default are left out.

    What has a value for each sub-model comes last: of many it is cut where the column ends.
    """
    parts = []
    for name, value in sorted(values, key=lambda one: isinstance(one[1], tuple)):
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
    if recipe.slices or recipe.stages:
        return [problem_of(error, setup, recipe)], {}
    if recipe.base is not None:
        is_its = isinstance(error, CheckpointError) and error.path == recipe.base
        of_base = error if is_its else None
        try:
            open_checkpoint(recipe.base)
        except MergeError as broken:
            of_base = broken
        if of_base is not None:  # then it says nothing about the sub-models
            return [replace(problem_of(of_base, setup, recipe), target="base", path=setup.base)], {}
    folders = _folders(setup)
    problems: list[Problem] = []
    states: dict[Path, str | None] = {}
    reference: tuple[ModelEntry, ...] = ()
    for entry in recipe.models:
        token.raise_if_cancelled()
        folder = folders[entry.path]
        model = ModelEntry(entry.path)  # what its parameters are says nothing of whether it fits
        try:
            plan_merge(_to_compare(recipe, (*reference, model)))
        except MergeError as misfit:
            problem = replace(problem_of(misfit, setup, recipe), target="models", path=folder)
            problems.append(problem)
            states[folder] = problem.message
        else:
            states[folder] = None
            if recipe.base is None and not reference:
                reference = (model,)
    return problems or [problem_of(error, setup, recipe)], states


def _to_compare(recipe: Recipe, models: tuple[ModelEntry, ...]) -> Recipe:
    """A recipe whose plan says whether `models` fit the base, or else one another, and nothing more."""
    unites = recipe.unites or recipe.tokenizer_source is not None
    vocab = "union" if unites else None
    return replace(recipe, models=models, parameters={}, tokenizer_source=None, tokenizer=None, vocab=vocab)


def _states(
    setup: MergeSetup, known: Mapping[Path, str | None], token: CancelToken
) -> Mapping[Path, str | None]:
    """`known`, and of every other sub-model whether it fits: the same base, or else one that takes part."""
    others = tuple(choice for choice in setup.models if choice.folder not in known)
    first = next((choice for choice in setup.taking_part if known.get(choice.folder, "") is None), None)
    states = dict(known)
    if setup.slices or setup.stages:
        return states
    if setup.base is None and METHODS[setup.method].base == "needed":
        return states
    for choice in others:
        token.raise_if_cancelled()
        among_themselves = first is not None and setup.base is None and first.folder != choice.folder
        pair = (first, choice) if first is not None and among_themselves else (choice,)
        alone = replace(
            setup,
            models=tuple(replace(one, weight=1.0, enabled=True) for one in pair),
            k=len(pair),
            parameters={},
            rules=(),
            seed=0,
        )
        try:
            recipe = _enough(alone, setup.models).recipe()
        except RecipeError:  # it is the base, or all that there is
            continue
        folders = _folders(alone)
        compared = tuple(entry for entry in recipe.models if entry.path in folders)
        if not compared:  # it is the base
            continue
        try:
            plan_merge(_to_compare(recipe, compared))
            states[choice.folder] = None
        except MergeError as misfit:
            problem = problem_of(misfit, setup)
            if problem.target == "base":  # then it says nothing about the sub-models
                return dict(known)
            states[choice.folder] = problem.message
    return states


def _enough(setup: MergeSetup, listed: Sequence[ModelChoice]) -> MergeSetup:
    """`setup` with others of the models that are `listed`, as many as the method asks for besides."""
    more = METHODS[setup.method].least_models - len(setup.models)
    folders = {choice.folder for choice in setup.models}
    others = [replace(one, weight=1.0, enabled=True) for one in listed if one.folder not in folders]
    models = (*setup.models, *others[: max(more, 0)])
    return replace(setup, models=models, k=len(models))


def _folders(setup: MergeSetup) -> dict[Path, Path]:
    """The folders of the sub-models that take part, by what a recipe makes of them."""
    return {Path.cwd() / choice.folder: choice.folder for choice in setup.taking_part}


def _place(error: MergeError, setup: MergeSetup, recipe: Recipe | None) -> tuple[str, Path | None]:
    """The target and the path of a Problem; "" where the error has no address."""
    model = _model(error, setup, recipe)
    spec = METHODS[setup.method].parameter(error.field or "")
    if spec is not None:
        if _is_of_a_rule(error, spec, setup):
            return "rules", None
        return ("models" if spec.name == "weight" else spec.name), model
    if error.field is not None:
        target = _FIELDS.get(error.field, "")
        return target, (setup.base if target == "base" else model if target == "models" else None)
    if isinstance(error, DeviceError):
        return "device", None
    if error.path is not None and setup.base is not None and _is_in(error.path, setup.base):
        return "base", setup.base
    return ("models" if model is not None else ""), model


def _model(error: MergeError, setup: MergeSetup, recipe: Recipe | None) -> Path | None:
    """The folder of the sub-model that `error` is about, as the set-up names it."""
    folders = _folders(setup)
    listed = [choice.folder for choice in setup.taking_part]
    if recipe is not None:
        listed = [folders.get(entry.path, entry.path) for entry in recipe.models]
    if error.entry is not None:
        return listed[error.entry] if error.entry < len(listed) else None
    if error.path is None:
        return None
    return next((folder for folder in folders.values() if _is_in(error.path, folder)), None)


def _is_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(Path.cwd() / folder)


def _is_of_a_rule(error: MergeError, spec: ParameterSpec, setup: MergeSetup) -> bool:
    """Whether it is a rule that gives the parameter `spec` what cannot be, and not its field."""
    if not any(rule.parameter == spec.name for rule in setup.rules):
        return False
    plain = [setup.parameters.get(spec.name, spec.default)]
    if spec.name == "weight":
        plain = [choice.weight for choice in setup.taking_part]
    try:
        for value in plain:
            spec.check(value, spec.name)
    except RecipeError:
        return False
    return True


# -- warnings


def _warnings(setup: MergeSetup, plan: MergePlan) -> Iterator[Problem]:
    yield from _number_warnings(setup)
    names = {folder: plan.names.get(place, folder.name) for place, folder in _folders(setup).items()}
    for warning in plan.warnings:
        about_tokens = "tokenizer" in warning and setup.tokenizer_source is not None
        target, path = ("tokenizer_source", None) if about_tokens else ("models", _named(warning, names))
        yield Problem(sentence(warning), None, target, path)
    merged = {entry.path for entry in plan.recipe.models}
    for folder, name in names.items():
        if Path.cwd() / folder not in merged:
            yield Problem(f"{name} is the base, and is left out.", None, "models", folder)
    if len(plan.models) == 1 and _copies_one(plan.recipe):
        yield Problem(
            f"The result will be a copy of {plan.models[0].name}, the only sub-model.",
            "Add others, or raise K.",
            "models",
        )


def _named(warning: str, names: Mapping[Path, str]) -> Path:
    """The folder of the sub-model that `warning` names, the first one's where it names none or several."""
    found = [
        folder for folder, name in names.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", warning)
    ]
    return found[0] if len(found) == 1 else next(iter(names))


def _number_warnings(setup: MergeSetup) -> Iterator[Problem]:
    """That the method leaves out models which are ticked."""
    method = METHODS[setup.method]
    most, taking_part = method.most_models, setup.taking_part
    ticked = sum(choice.enabled for choice in setup.models)
    if most is not None and ticked > most == len(taking_part):
        names = model_names([choice.folder for choice in taking_part])
        yield Problem(
            f"{method.title} takes {method.models_text()}, here {', '.join(names)}: the first of "
            f"{ticked} that are ticked.",
            "Tick only the one to be merged, or move it to the top."
            if most == 1
            else "Tick only those to be merged, or move them to the top.",
            "models",
            taking_part[0].folder,
        )


def _copies_one(recipe: Recipe) -> bool:
    """Whether the method makes of one sub-model a copy of it: the only share is the whole."""
    switches = (spec for spec in recipe.method.parameters if spec.kind == "flag" and spec.scope == "merge")
    usual = all(recipe.plain_value(spec.name) == spec.default for spec in switches)
    return recipe.method.weight == "share" and usual


def _disk_warnings(out: Path, left: int) -> Iterator[Problem]:
    place = next(parent for parent in out.parents if os.path.isdir(parent))
    if left < _DISK_SHARE_TO_KEEP * shutil.disk_usage(place).total:
        yield Problem(f"The disk will be nearly full: {bytes_text(left)} will be free.", None, "out")
