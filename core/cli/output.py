"""What the commands print: summaries for people, documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.checkpoint.model import Checkpoint
from core.cli.slice_output import slice_lines, stage_lines
from core.cli.vocabulary_output import vocabulary_document, vocabulary_lines
from core.deltas.findings import findings_of_record
from core.kernels.interface import ListedValues
from core.methods import ParameterValue
from core.plan.choice import Choice
from core.plan.chunking import peak_memory_bytes
from core.plan.merge_plan import LedgerEntry, MergePlan
from core.recipe.writing import recipe_as_dict
from core.run.record import RunRecord
from core.text import one_line
from core.units import about_text, bytes_text, count_text, duration_text, share_text

__all__ = ["merge_summary", "plan_document", "plan_summary"]

_MOST_ALIKE = 8
_MOST_GROUPS = 8
_MOST_NUMBERS = 8
"""What a person reads of values that differ between tensors; documents hold them all."""


def method_line(plan: MergePlan) -> str:
    """The method, K, its numbers for the whole merge, and what else is not the default; no weights."""
    method = plan.recipe.method
    most_draws = max((tensor.job.draws for tensor in plan.tensors if tensor.job), default=0)
    parts = [method.name, f"K = {len(plan.models)}"]
    for spec in method.parameters:
        found = plan.values_of(spec.name)
        if spec.scope == "model":
            found = tuple(dict.fromkeys(value for values in found for value in values))
        values = found or (spec.default,)
        is_idle = spec.kind == "int" and method.draws is not None and most_draws < 2  # n of no draws
        is_said = spec.is_number and spec.scope == "merge" and not is_idle
        if spec.name != "weight" and (is_said or values != (spec.default,)):
            parts.append(f"{spec.short} = {_range_text(values)}")
    if most_draws:
        parts.append(f"seed {plan.recipe.seed}")
    return ", ".join(parts)


def merge_summary(plan: MergePlan, record: RunRecord, out: Path) -> str:
    lines = [
        f"checkpoint  {out.absolute()}",
        f"method      {method_line(plan)}",
        f"read        {bytes_text(record.bytes_read)}, wrote {bytes_text(record.bytes_written)}, "
        f"in {duration_text(record.seconds)}",
    ]
    findings = findings_of_record(record)
    everything = None if findings is None else findings.part()
    if everything is not None and everything.counts is not None and everything.drawn is not None:
        share, left = float(everything.counts.mean_zero_delta.value), float(everything.drawn.left[-1])
        draws = {tensor.job.draws for tensor in plan.tensors if tensor.job}
        lines.append(
            f"zero deltas {share_text(share)} in the sub-models, {share_text(left)} "
            f"in the result after {'' if len(draws) == 1 else 'up to '}{max(draws) - 1} resamples"
        )
    lines += _left_out_lines(record)
    lines += [
        f"note        {tensor.name} was copied from the {'base' if plan.base else 'first sub-model'}; "
        f"it differs in {', '.join(tensor.differs_in)}"
        for tensor in record.tensors
        if tensor.differs_in
    ]
    nonfinite = sum(count or 0 for tensor in record.tensors for count in tensor.nonfinite)
    if nonfinite:
        lines.append(f"note        the inputs hold {nonfinite:,} NaN or infinite values")
    return "\n".join(one_line(line) for line in lines)


def _left_out_lines(record: RunRecord) -> list[str]:
    """How much of the sub-models was dropped, and how much had not the sign that was elected."""
    said = []
    for name, what in (("dropped", "dropped"), ("elected_against", "elected against")):
        counted = [
            (sum(counts), len(counts) * tensor.elements)
            for tensor in record.tensors
            if (counts := getattr(tensor, name)) is not None
        ]
        left_out, elements = (sum(one) for one in zip(*counted, strict=True)) if counted else (0, 0)
        if elements:
            said.append(f"{share_text(left_out / elements)} {what}")
    return [f"left out    of the sub-models' parameters {', '.join(said)}"] if said else []


def plan_document(
    plan: MergePlan, choice: Choice, free: int, stages: Sequence[Choice] = ()
) -> dict[str, Any]:
    """For a program; `stages` are the choices for the merges that come before."""
    by_name = {tensor.output.name: tensor for tensor in plan.tensors}
    ledger = []
    for entry in plan.ledger:
        tensor = by_name.get(entry.name)
        row: dict[str, Any] = asdict(entry)
        row["values"] = dict(_ruled(plan, entry))
        if tensor is not None:
            row |= {
                "shape": tensor.output.shape,
                "dtype": tensor.output.dtype.name,
                "elements": tensor.elements,
                "file": plan.shards[tensor.placement.shard].file_name,
            }
        ledger.append(row)
    return {
        "recipe": recipe_as_dict(plan.asked, plan.names),
        "models": [
            {"name": model.name, "bytes": model.size_bytes, "tensors": len(model.tensors)}
            | ({"adapter": model.adapter_text} if model.adapters else {})
            for model in [*plan.models, *([plan.base] if plan.base else [])]
        ],
        "parameters": plan.parameters,
        "bytes_to_read": plan.bytes_to_read,
        "bytes_to_write": plan.bytes_to_write,
        "peak_memory_bytes": peak_memory_bytes(plan, choice.devices),
        "free_disk_bytes": free,
        "device": choice.chosen.device.name,
        "device_why": choice.why,
        "expected_seconds": {entry.device.name: round(entry.seconds, 2) for entry in choice.expected},
        "stages": [
            {"name": name, **plan_document(stage, of_stage, free)}
            for (name, stage), of_stage in zip(plan.stages, stages, strict=True)
        ],
        "files": [{"name": shard.file_name, "bytes": shard.size_bytes} for shard in plan.shards],
        "vocabulary": vocabulary_document(plan),
        "warnings": list(plan.warnings),
        "ledger": ledger,
    }


def _model_text(model: Checkpoint) -> str:
    return f"{model.name} ({model.adapter_text})" if model.adapters else model.name


def plan_summary(plan: MergePlan, choice: Choice, free: int) -> str:
    """For a person."""
    actions = [entry.action for entry in plan.ledger]
    counts = ", ".join(f"{actions.count(action):,} {action}" for action in dict.fromkeys(actions))
    lines = [
        f"method   {method_line(plan)}",
        f"models   {', '.join(map(_model_text, plan.models))}",
        f"base     {plan.base.name if plan.base else 'none'}",
        f"tensors  {counts}; {count_text(plan.parameters)} parameters",
        f"reads    {bytes_text(plan.bytes_to_read)}",
        f"writes   {bytes_text(plan.bytes_to_write)} in {len(plan.shards)} "
        f"file{'s' if len(plan.shards) > 1 else ''}; {bytes_text(free)} free here",
        f"memory   {bytes_text(peak_memory_bytes(plan, choice.devices))} for buffers",
        f"device   {choice.sentence}",
        f"time     {_times_text(choice)}{', with what is merged before' if plan.stages else ''}",
    ]
    lines += [*stage_lines(plan), *slice_lines(plan), *vocabulary_lines(plan)]
    lines += _value_lines(plan)
    lines += _ledger_lines(plan)
    lines += [f"warning  {warning}" for warning in plan.warnings]
    return "\n".join(one_line(line) for line in lines)


def _times_text(choice: Choice) -> str:
    """ "about 1.1 s", and for each device where there are several: "cpu about 1.1 s, cuda:0 about 0.6 s"."""
    if len(choice.expected) == 1:
        return about_text(choice.chosen.seconds)
    return ", ".join(f"{entry.device.name} {about_text(entry.seconds)}" for entry in choice.expected)


def _ledger_lines(plan: MergePlan) -> list[str]:
    """What is not simply merged; tensors of the same reason together where they are many."""
    groups: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in plan.ledger:
        if entry.reason:
            alike = entry.reason.partition(" of ")[0]
            groups.setdefault((entry.action, alike), []).append(entry)
    lines = []
    for (action, _), entries in groups.items():
        shown = entries if len(entries) <= _MOST_ALIKE else entries[:1]
        lines += [f"{action:8} {entry.name}: {entry.reason}" for entry in shown]
        if len(shown) < len(entries):
            lines.append(f"{action:8} … and {len(entries) - 1:,} more like it; --json shows them all")
    return lines


def _value_lines(plan: MergePlan) -> list[str]:
    """What the recipe's rules give, a line for each different set of values."""
    groups: dict[ListedValues, list[str]] = {}
    for entry in plan.ledger:
        if entry.values and plan.recipe.ruled:
            groups.setdefault(_ruled(plan, entry), []).append(entry.name)
    lines = []
    for values, names in groups.items():
        said = ", ".join(f"{name} {_value_text(value)}" for name, value in values)
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        lines.append(f"values   {said}: {names[0]}{more}")
    if len(lines) > _MOST_GROUPS:
        rest = len(lines) - _MOST_GROUPS + 1
        lines[_MOST_GROUPS - 1 :] = [f"values   … and {rest} other sets of values; --json shows them all"]
    return lines


def _ruled(plan: MergePlan, entry: LedgerEntry) -> ListedValues:
    """The values of `entry` that may differ between tensors."""
    return tuple((name, value) for name, value in entry.values if name in plan.recipe.ruled)


def _value_text(value: ParameterValue | tuple[ParameterValue, ...]) -> str:
    values = value if isinstance(value, tuple) else (value,)
    more = " …" if len(values) > _MOST_NUMBERS else ""
    return " ".join(_one_text(one) for one in values[:_MOST_NUMBERS]) + more


def _one_text(value: ParameterValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.4g}"


def _range_text(values: Sequence[Any]) -> str:
    """ "4", "1 to 4", "true, false"."""
    if len(values) == 1:
        return _value_text(values[0])
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return f"{_value_text(min(values))} to {_value_text(max(values))}"
    return ", ".join(map(_value_text, values))
