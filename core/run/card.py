"""The model card: README.md of an output folder, for the people who find it.

The names in it are others': they are text there, whatever they are made of, and cannot end what they are in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from core.checkpoint.model import Checkpoint, hub_id
from core.plan.merge_plan import MergePlan
from core.recipe.stages import documents_of
from core.recipe.writing import recipe_as_dict
from core.recipe.yaml_values import Dumper
from core.text import one_line

__all__ = ["model_card"]

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+")
_MARKUP = re.compile(r"[\\`*<>\[\]&|~#$]|(?<![^\W_])_|_(?![^\W_])")
"""What means something in Markdown; an underscore within a word does not."""


def model_card(
    plan: MergePlan, title: str, recipe: Mapping[str, Any] | None = None, warnings: Sequence[str] = ()
) -> bytes:
    """The card of the merge `plan`, called `title`, and what it warned of. It has no path of this machine.

    `recipe` is what was asked, where the plan is the last merge of several.
    """
    recipe = recipe_as_dict(plan.recipe, plan.names) if recipe is None else recipe
    method = plan.recipe.method
    hub_ids = list(dict.fromkeys(found for found in map(hub_id, plan.names) if _is_hub_id(found)))
    front: dict[str, Any] = {"library_name": "transformers", "tags": ["merge", "paramosaic"]}
    if hub_ids:
        front["base_model"] = hub_ids
    models = "\n".join(
        f"- {_code(model.name)}{_adapter(model)}{_weight(plan, at)}" for at, model in enumerate(plan.models)
    )
    base = f"\nBase: {_code(plan.base.name)}.\n" if plan.base else ""
    text = f"""---
{_yaml(front)}---

# {_heading(title)}

A merge of {len(plan.models)} sub-model{"" if len(plan.models) == 1 else "s"}, made with Paramosaic.

{models}
{base}
Method: {method.title} ({method.source}). {method.help}

## Recipe

{_fenced(_documents(recipe))}

The same recipe{" and seed give" if method.draws else " gives"} the same bytes. `paramosaic.json` says
for every tensor what was merged and how; `paramosaic verify` checks the files against it.
{_notes(warnings)}"""
    return text.encode()


def _notes(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    lines = "\n".join(f"- {_heading(warning)}" for warning in warnings)
    return f"\n## What to know\n\n{lines}\n"


def _adapter(model: Checkpoint) -> str:
    return f", {_heading(model.adapter_text)}" if model.adapters else ""


def _weight(plan: MergePlan, at: int) -> str:
    meaning = plan.recipe.method.weight
    every = () if meaning is None else plan.values_of("weight")
    if not every or (meaning == "share" and all(len(set(weights)) == 1 for weights in every)):
        return ""
    least, largest = min(weights[at] for weights in every), max(weights[at] for weights in every)
    return f", weight {least:g}" if least == largest else f", weight {least:g} to {largest:g}"


def _is_hub_id(found: str | None) -> bool:
    return found is not None and _HUB_ID.fullmatch(found) is not None


def _yaml(value: Mapping[str, Any]) -> str:
    """As YAML; in ASCII where anything in it would not be seen."""
    text = yaml.dump(dict(value), Dumper=Dumper, sort_keys=False, allow_unicode=True)
    if all(one_line(line) == line for line in text.split("\n")):
        return text
    return yaml.dump(dict(value), Dumper=Dumper, sort_keys=False, allow_unicode=False)


def _documents(recipe: Mapping[str, Any]) -> str:
    """As files of recipes have it, a document for each merge."""
    return "---\n".join(map(_yaml, documents_of(recipe)))


def _heading(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def _code(text: str) -> str:
    """`text` within a line, between more backticks than it has in a row (CommonMark 0.31, section 6.1)."""
    text = one_line(text)
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks} {text} {ticks}" if len(ticks) > 1 else f"{ticks}{text}{ticks}"


def _fenced(text: str) -> str:
    """`text`, which ends its last line, as a block (CommonMark 0.31, section 4.5)."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}yaml\n{text}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
