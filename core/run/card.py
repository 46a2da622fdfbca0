"""The model card: README.md of an output folder, for the people who find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from core.checkpoint.model import hub_id
from core.plan.merge_plan import MergePlan
from core.recipe.recipe import recipe_as_dict

__all__ = ["model_card"]


def model_card(plan: MergePlan, title: str) -> bytes:
    """The card of the merge `plan`, called `title`. No path of this machine is in it."""
    recipe = recipe_as_dict(plan.recipe, plan.names)
    method = plan.recipe.method
    hub_ids = list(dict.fromkeys(found for found in map(hub_id, plan.names) if found))
    front: dict[str, Any] = {"library_name": "transformers", "tags": ["merge", "paramosaic"]}
    if hub_ids:
        front["base_model"] = hub_ids
    models = "\n".join(f"- `{model.name}`{_weight(plan, at)}" for at, model in enumerate(plan.models))
    base = f"\nBase: `{plan.base.name}`.\n" if plan.base else ""
    text = f"""---
{_yaml(front)}---

# {title}

A merge of {len(plan.models)} sub-model{"" if len(plan.models) == 1 else "s"}, made with Paramosaic.

{models}
{base}
Method: {method.title} ({method.source}). {method.help}

## Recipe

```yaml
{_yaml(recipe)}```

The same recipe{" and seed give" if method.draws else " gives"} the same bytes. `paramosaic.json` says
for every tensor what was merged and how; `paramosaic verify` checks the files against it.
"""
    return text.encode()


def _weight(plan: MergePlan, at: int) -> str:
    meaning = plan.recipe.method.weight
    every = () if meaning is None else plan.values_of("weight")
    if not every or (meaning == "share" and all(len(set(weights)) == 1 for weights in every)):
        return ""
    least, largest = min(weights[at] for weights in every), max(weights[at] for weights in every)
    return f", weight {least:g}" if least == largest else f", weight {least:g} to {largest:g}"


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
