"""Looking at a set-up before it is merged: what it would do, and what stands in the way. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core import (
    CancelToken,
    DeviceError,
    MergeError,
    MergePlan,
    OutputError,
    RecipeError,
    RunningError,
    UnfinishedError,
    leftover_of,
    plan_merge,
)
from core.checkpoint.model import model_names
from core.checkpoint.output import free_disk_bytes, held_bytes
from core.checkpoint.stage_folders import stages_bytes
from core.methods import MethodSpec, ParameterValue
from core.plan.choice import Choice, choose
from core.plan.chunking import peak_memory_bytes
from core.plan.estimate import Throughput
from core.plan.planning import check_destination
from core.recipe.named_bases import common_base
from core.text import message_text
from gui.document.merge_setup import MergeSetup, first_missing
from gui.failure import sentence
from gui.preflight.addresses import problem_of
from gui.preflight.misfits import misfits, states_of
from gui.preflight.notices import disk_warnings, warnings_of
from gui.preflight.report import LedgerRow, PlanReport, Problem
from gui.preflight.taken import taken_output
from gui.preflight.vocabularies import tokens_report
from gui.words import ago_text, percent_text, weight_text

__all__ = ["look_ahead"]


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
        problem = Problem(missing[0], None, missing[1], base, missing=True)
        lacking = (_with_base(problem, setup) if missing[1] == "base" else problem, *lacking)
    if missing is not None and missing[1] != "out":  # without an output folder there is much to say already
        return PlanReport(setup, errors=lacking, states=states_of(setup, {}, token))
    try:
        recipe = setup.recipe()
    except RecipeError as error:
        errors = (problem_of(error, setup), *lacking)
        return PlanReport(setup, errors=errors, states=states_of(setup, {}, token))
    token.raise_if_cancelled()
    try:
        plan = plan_merge(recipe, shard_size_bytes=setup.shard_size_bytes)
    except MergeError as error:
        problems, states = misfits(setup, recipe, error, token)
        states = states_of(setup, states, token)
        return PlanReport(setup, errors=(*problems, *lacking), states=states)
    token.raise_if_cancelled()
    fitting: dict[Path, str | None] = dict.fromkeys((choice.folder for choice in setup.taking_part), None)
    return _report(setup, plan, throughput, lacking, states_of(setup, fitting, token))


def _with_base(problem: Problem, setup: MergeSetup) -> Problem:
    """The problem of a missing base with the one that all sub-models name, where they are adapters."""
    try:
        base = common_base([Path.cwd() / choice.folder for choice in setup.taking_part])
    except RecipeError:  # they name several, none, or one that is not here
        base = None
    if base is None:
        return problem
    who = "The adapter was" if len(setup.taking_part) == 1 else "The adapters were"
    return replace(problem, hint=message_text(f"{who} trained on {base.name}."), base=base)


def _report(
    setup: MergeSetup,
    plan: MergePlan,
    throughput: Throughput,
    lacking: Sequence[Problem],
    states: Mapping[Path, str | None],
) -> PlanReport:
    errors = list(lacking)
    warnings = list(warnings_of(setup, plan))
    writes = sum(merge.bytes_to_write for merge in plan.merges)
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
                warnings += disk_warnings(out, free + held - writes)
        except (UnfinishedError, RunningError):  # another merge began, or ended, a moment ago
            errors += _left_in(setup)
        except OutputError as error:
            errors.append(_output_problem(error, setup, plan, out, resume=left is not None))
    try:
        choice = _choice(plan, setup, setup.device, throughput)
    except DeviceError as error:
        errors.append(problem_of(error, setup))
        choice = _choice(plan, setup, "cpu", throughput)
    return PlanReport(
        setup,
        plan=plan,
        bytes_to_read=sum(merge.bytes_to_read for merge in plan.merges),
        bytes_to_write=writes,
        bytes_of_a_pass=sum(merge.bytes_of_a_pass for merge in plan.merges),
        passes=max(merge.passes for merge in plan.merges),
        memory_bytes=peak_memory_bytes(plan, choice.devices, setup.threads),
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


def _choice(plan: MergePlan, setup: MergeSetup, device: str, throughput: Throughput) -> Choice:
    """On what the merge would run. Raises DeviceError."""
    return choose(plan, device, setup.threads, throughput, warms_up=True, measures_disk=True)


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
