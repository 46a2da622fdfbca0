"""The recipe of an output as mergekit takes it: `mergekit_config.yml`, for those who merge with it.

What mergekit has no word for stands in comments at the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from core.adapter_paths import split_adapters
from core.methods import METHODS, MethodSpec
from core.plan.merge_plan import MergePlan
from core.recipe.foreign_keys import LACKING, OF_MERGEKIT, OTHER_DEFAULTS, mergekit_parameters
from core.recipe.stages import documents_of
from core.recipe.yaml_values import Dumper
from core.text import one_line

__all__ = ["MERGEKIT_CONFIG", "mergekit_config", "models_under"]

MERGEKIT_CONFIG = "mergekit_config.yml"

_KEYS = (
    *("name", "merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype"),
    *("tokenizer_source", "tokenizer", "chat_template"),
)
_DTYPES = ("bfloat16", "float16", "float32", "float64")
_AS_ALWAYS = {"nonfinite": "pass"}
"""What our recipes say that mergekit does in any case."""


def mergekit_config(
    recipe: Mapping[str, Any],
    *,
    by_tokens: Sequence[bool] = (),
    on: Sequence[Mapping[str, str]] = (),
) -> bytes | None:
    """The file for `recipe`, as `recipe_as_dict` has it with names; None where mergekit lacks its method.

    Args:
        recipe: what was asked, with its stages.
        by_tokens: of its stages and of itself, whether rows were matched by their tokens, also where the
            recipe has no key for that: mergekit asks for one. None are where it is empty.
        on: of each too, the models of adapters that it names without one, by their names: mergekit asks for
            them.
    """
    documents = documents_of(recipe)
    for at, models in enumerate(on):
        documents[at] = _on_models(documents[at], models)
    for at, is_matched in enumerate(by_tokens):
        if is_matched and not any(key in documents[at] for key in ("vocab", "tokenizer_source", "tokenizer")):
            documents[at] = {**documents[at], "vocab": "union"}
    if any(str(one["merge_method"]) not in OF_MERGEKIT for one in documents):
        return None
    texts = []
    left_out: list[str] = []
    for one in documents:
        said, missing = _document(one)
        texts.append(yaml.dump(said, Dumper=Dumper, sort_keys=False, allow_unicode=False))
        of = f"{said['name']}: " if "name" in said else ""
        left_out += [f"{of}{what}" for what in missing]
    lines = [
        "# This merge as mergekit 0.1.5 can make it. The models are named; write where they are.",
        "# mergekit rounds otherwise, so that its result differs from this one in last places.",
    ]
    if any(by_tokens):
        lines += [
            "# Where vocabularies differ, it leaves out the rows that no token has, and gives a model",
            "# the rows that it lacks before it merges: rows of such tokens are others than here.",
        ]
    if left_out:
        lines += ["# It has no word for:", *(f"#   {one_line(what)}" for what in left_out)]
    return ("\n".join(lines) + "\n" + "---\n".join(texts)).encode()


def models_under(plan: MergePlan) -> dict[str, str]:
    """The models of adapters that the recipe of `plan` names without one, by their names."""
    asked = [entry.path for entry in plan.recipe.models] + ([plan.recipe.base] if plan.recipe.base else [])
    return {
        model.name: model.under.name
        for path, model in zip(asked, (*plan.models, *([plan.base] if plan.base else [])), strict=True)
        if model.under is not None and len(split_adapters(path)) == len(model.adapters)
    }


def _on_models(data: Any, on: Mapping[str, str], keys: tuple[str, ...] = ("model", "base_model")) -> Any:
    """`data` with MODEL+ADAPTER in the place of adapters, where it names what is merged or lends rows."""
    if isinstance(data, list):
        return [_on_models(one, on, keys) for one in data]
    if not isinstance(data, dict):
        return data
    result = {}
    for key, value in data.items():
        if key in keys and isinstance(value, str):
            result[key] = f"{on[value]}+{value}" if value in on else value
        else:
            of_tokens = ("source",) if key == "tokens" else ()
            result[key] = value if key == "parameters" else _on_models(value, on, (*keys, *of_tokens))
    return result


def _document(recipe: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """One merge as mergekit says it, and what it cannot say."""
    method = METHODS[str(recipe["merge_method"])]
    recipe = _with_vocabulary(recipe)
    said = {key: recipe[key] for key in _KEYS if key in recipe}
    left_out = []
    if method.draws is not None and "seed" in recipe:
        left_out.append(f"seed: {recipe['seed']} (its command line has --random-seed, and draws others)")
    others = [key for key in recipe if key not in (*_KEYS, "seed")]
    left_out += [f"{key}: {recipe[key]}" for key in others if _AS_ALWAYS.get(key) != recipe[key]]
    for key in ("dtype", "out_dtype"):
        if key in said and said[key] not in _DTYPES:
            left_out.append(f"{key}: {said.pop(key)}")
    base = said.get("base_model")
    if base is not None and not method.reads_base:
        left_out.append(f"base_model: {base}, which it would merge as one more model")
        del said["base_model"]
    if "slices" in said:
        said["slices"] = [_slice(one, base, method, left_out) for one in said["slices"]]
    parameters = _parameters(said.get("parameters") or {}, method, left_out)
    if parameters:
        said["parameters"] = parameters
    else:
        said.pop("parameters", None)
    return {key: said[key] for key in _KEYS if key in said}, left_out


def _with_vocabulary(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """With `vocab` in its words: it stands for a tokenizer_source, where none and no tokenizer says more."""
    result = {key: value for key, value in recipe.items() if key != "vocab"}
    if "vocab" in recipe and "tokenizer" not in recipe:
        result.setdefault("tokenizer_source", recipe["vocab"])
    return result


def _slice(one: Mapping[str, Any], base: Any, method: MethodSpec, left_out: list[str]) -> dict[str, Any]:
    """With the base among the sources, where it takes part: mergekit adds it to models alone."""
    result = dict(one)
    if "parameters" in result:
        result["parameters"] = _known(result["parameters"], method, left_out, "parameters of a slice")
    own = result.get("base_model", base)
    if not method.reads_base:
        if result.pop("base_model", None) is not None:
            left_out.append(f"base_model: {own} of a slice, which it would merge as one more model")
        return result
    if own is not None and all(source["model"] != own for source in result["sources"]):
        layers = list(result["sources"][0]["layer_range"])
        result["sources"] = [*result["sources"], {"model": own, "layer_range": layers}]
    return result


def _parameters(given: Mapping[str, Any], method: MethodSpec, left_out: list[str]) -> dict[str, Any]:
    """The parameters of the whole merge, with the defaults written out that it asks for or has others for."""
    result = _known(given, method, left_out)
    for spec in method.parameters:
        name = spec.name
        if (method.name, name) in LACKING and name not in given:
            _known({name: spec.default}, method, left_out)
        needed = name in ("weight", "t") or (method.name, name) in OTHER_DEFAULTS
        if name not in mergekit_parameters(method) or (name not in given and not needed):
            continue
        value = given.get(name, spec.default)
        conditions = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
        if conditions and not any(one.get("filter") in (None, "", "*") for one in value):
            value = [*value, {"value": spec.default}]
        result[name] = value
    return result


def _known(
    given: Mapping[str, Any], method: MethodSpec, left_out: list[str], where: str = "parameters"
) -> dict[str, Any]:
    """Those of the parameters that it has; of another that has not its own value, `left_out` says so."""
    for name, value in given.items():
        taken = LACKING.get((method.name, name))
        if taken not in (None, value):
            left_out.append(f"{where}: {name}: {value}, for which it takes {taken}")
    return {name: value for name, value in given.items() if name in mergekit_parameters(method)}
