"""Kinds of recipes that people publish: each is planned, or refused with every reason in one sentence.

The models that they name are small ones of the same names; `test_methods_in_the_wild.py` has those of every
method. First what mergekit's own examples ask for.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from wild_recipes import store_models

from core import load_recipe, plan_merge
from core.errors import MergeError
from core.plan.merge_plan import MergePlan
from core.recipe.writing import recipe_as_dict


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    store_models(place)
    return place


def stacked(*slices: tuple[str, int, int], more: str = "") -> str:
    listed = "".join(f"- sources: [{{model: {m}, layer_range: [{a}, {b}]}}]\n" for m, a, b in slices)
    return f"merge_method: passthrough\nslices:\n{listed}{more}"


def average(*models: str, more: str = "") -> str:
    listed = "".join(f"- model: {model}\n  parameters: {{weight: 1}}\n" for model in models)
    return f"merge_method: linear\nmodels:\n{listed}{more}"


SLERP = """
slices:
  - sources:
      - {model: a, layer_range: [0, 6]}
      - {model: b, layer_range: [0, 6]}
merge_method: slerp
base_model: a
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5
dtype: bfloat16
"""
HALVES = [("a", 0, 4), ("b", 2, 6)]

PLANNED: dict[str, tuple[str, int]] = {
    # mergekit's examples
    "an-average": (
        "models:\n- {model: org/orca-13b, parameters: {weight: 1.0}}\n"
        "- {model: org/wizard-13b, parameters: {weight: 0.3}}\n"
        "- {model: org/platypus-13b, parameters: {weight: 0.5}}\nmerge_method: linear\ndtype: float16\n",
        8,
    ),
    "gradient-slerp": (
        SLERP.replace("model: a", "model: org/orca-13b")
        .replace("model: b", "model: org/platypus-13b")
        .replace("6]", "8]"),
        8,
    ),
    "more-layers": (stacked(("org/orca-13b", 0, 5), ("org/platypus-13b", 3, 8), more="dtype: float16\n"), 10),
    "several-documents": (
        average("a", "b", more="name: first\n---\n")
        + "name: second\nmerge_method: slerp\nbase_model: first\nmodels: [{model: c}]\nparameters: {t: 0.5}\n"
        "---\nmerge_method: task_arithmetic\nbase_model: a\n"
        "models: [{model: second, parameters: {weight: 0.5}}, {model: b, parameters: {weight: 0.5}}]\n",
        6,
    ),
    # what people publish
    "slerp-of-all-layers": (SLERP, 6),
    "slerp-with-a-head-of-its-own": (
        SLERP.replace("  t:\n", "  t:\n    - {filter: lm_head, value: [0.55]}\n"),
        6,
    ),
    "depth-up": (stacked(("a", 0, 5), ("a", 1, 6), more="dtype: bfloat16\n"), 10),
    "frankenmerge": (stacked(*[(("a", "b")[at % 2], at, at + 2) for at in range(5)]), 10),
    "two-depths": (stacked(("a", 0, 3), ("deep", 4, 9)), 8),
    "pruned": (stacked(("a", 0, 2), ("a", 5, 6)), 3),
    "one-layer": (stacked(("a", 3, 4)), 1),
    "backwards": (stacked(("a", 3, 6), ("a", 0, 3)), 6),
    "silent-copies": (
        stacked(("a", 0, 3))
        + "- sources:\n  - model: a\n    layer_range: [2, 6]\n    parameters:\n      scale:\n"
        "      - {filter: o_proj, value: 0.0}\n      - {filter: down_proj, value: 0.0}\n      - value: 1.0\n",
        7,
    ),
    "one-condition-alone": (
        stacked(("a", 0, 3), more="parameters: {scale: {filter: o_proj, value: 0.5}}\n"),
        3,
    ),
    "a-base-in-a-slice": (
        "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\nslices:\n"
        "- sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [1, 3]}]\n"
        "- sources: [{model: a, layer_range: [2, 4]}, {model: c, layer_range: [0, 2]}]\n  base_model: c\n",
        4,
    ),
    "weights-by-layer": (
        "merge_method: task_arithmetic\nbase_model: a\nslices:\n- sources:\n"
        "  - {model: a, layer_range: [0, 6]}\n"
        "  - {model: b, layer_range: [0, 6], parameters: {weight: [0, 1]}}\n"
        "parameters: {normalize: 1.0, lambda: '0.9'}\n",
        6,
    ),
    "a-module": (
        "merge_method: linear\nmodules:\n  default:\n    slices:\n    - sources:\n"
        "      - {model: a, layer_range: [0, 2]}\n      - {model: b, layer_range: [2, 4]}\n"
        "parameters: {weight: 0.5}\n",
        2,
    ),
    "modules-alike": (
        "merge_method: linear\nmodules:\n  text_decoder: &all {models: [{model: a}, {model: b}]}\n"
        "  vision_tower: *all\nparameters: {weight: 0.5}\n",
        6,
    ),
    "everything-null": (
        stacked(
            ("a", 0, 4),
            more="base_model: null\ndtype: null\nparameters: null\ntokenizer_source: null\nmodels: null\n"
            "modules: null\nout_dtype: null\ntokenizer: null\nchat_template: null\n",
        ),
        4,
    ),
    "as-mergekit-writes-it": (
        "base_model: {model: {path: a, revision: null}, lora: null, override_architecture: null}\n"
        "merge_method: slerp\nslices:\n- residual_weight: null\n  base_model: null\n  parameters: {t: 0.5}\n"
        "  sources:\n  - {layer_range: [0, 4], model: {model: {path: a}}}\n"
        "  - {layer_range: [0, 4], model: {model: {path: b}, lora: null}}\n",
        4,
    ),
    "residual-weight": (stacked(("a", 0, 4)) + "  residual_weight: 0.1\n", 4),
    "ranges-in-quotes": (
        "merge_method: passthrough\nslices:\n- sources: [{model: a, layer_range: ['0', 4.0]}]\n",
        4,
    ),
    "numbers-in-quotes": (
        average("a", "b").replace("weight: 1", "weight: '1e-1'", 1) + "parameters: {normalize: 'false'}\n",
        6,
    ),
    "aliases": (
        "merge_method: passthrough\nslices:\n- &one\n  sources: [{model: a, layer_range: [0, 3]}]\n- *one\n"
        "- <<: *one\n  parameters: {scale: 0.5}\n",
        9,
    ),
    "types": (stacked(("a", 0, 4), more="dtype: torch.float32\nout_dtype: bfloat16\n"), 4),
    "a-template": (stacked(("a", 0, 4), more="chat_template: auto\n"), 4),
    "tokens-of-all": (stacked(*HALVES, more="tokenizer_source: union\n"), 8),
    "documents-all-named": (
        stacked(*HALVES, more="name: stack\n---\n") + stacked(("stack", 2, 8), more="name: cut\n"),
        6,
    ),
    "layers-of-one-model-with-one-another": (
        "name: copy\nmerge_method: passthrough\nmodels: [{model: a}]\n---\nmerge_method: linear\nslices:\n"
        "- sources: [{model: a, layer_range: [0, 3]}, {model: copy, layer_range: [3, 6]}]\n",
        3,
    ),
    "a-document-of-a-folders-name": (
        average("b", "c", more="name: a\n---\n") + average("a", "./a", more="name: result\n"),
        6,
    ),
    "line-ends-of-windows": (average("a", "b").replace("\n", "\r\n"), 6),
    "a-byte-order-mark": ("\ufeff" + average("a", "b"), 6),
    "an-empty-document": ("---\n" + average("a", "b") + "---\n", 6),
}

SLICE = "slices, entry"
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    # what mergekit refuses too
    "model-stock-of-one": (
        "merge_method: model_stock\nbase_model: base\nmodels: [{model: base}, {model: a}]\n",
        ("merge_method model_stock takes 2 sub-models or more beside the base, and there is 1",),
    ),
    "the-base-alone": (
        "merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: a, parameters: {weight: 1}}]\n",
        ("there is no sub-model to merge (K = 0)",),
    ),
    "nuslerp-of-three": (
        "merge_method: nuslerp\nbase_model: base\nmodels: [{model: a}, {model: b}, {model: c}]\n",
        ("merge_method nuslerp takes exactly 2 sub-models beside the base, and there are 3",),
    ),
    "arcee-fusion-of-two": (
        "merge_method: arcee_fusion\nbase_model: base\nmodels: [{model: a}, {model: b}]\n",
        ("merge_method arcee_fusion takes exactly 1 sub-model beside the base, and there are 2",),
    ),
    "nearswap-without-a-base": (
        "merge_method: nearswap\nmodels: [{model: a}, {model: b}]\n",
        ("merge_method nearswap needs a base_model",),
    ),
    "della-without-room-for-epsilon": (
        "merge_method: della\nbase_model: base\nmodels: [{model: a}]\nparameters: {density: 0.9}\n",
        ("epsilon",),
    ),
    "shared-parameters-of-a-model": (
        "merge_method: ties\nbase_model: base\nmodels:\n"
        "- {model: a, parameters: {weight: 1, lambda: 0.5}}\n- {model: b, parameters: {normalize: false}}\n",
        (
            "models, entry 1: parameters: lambda is one value for the whole merge",
            "models, entry 2: parameters: normalize is one value for the whole merge",
        ),
    ),
    "parameters-of-no-method": (
        "merge_method: ties\nbase_model: base\nmodels: [{model: a, parameters: {densty: 0.5, tau: 1}}]\n",
        ("ties has no parameter 'densty'", "ties has no parameter 'tau'"),
    ),
    # files of other programs
    "mixture-of-experts": (
        "base_model: a\ngate_mode: hidden\nexperts:\n- {source_model: a, positive_prompts: [x]}\n",
        ("a file of mergekit-moe",),
    ),
    "evolution": (
        "genome: {models: [a, b], merge_method: dare_ties}\ntasks: []\n",
        ("a file of mergekit-evolve",),
    ),
    "bakllama": ("layer_slices: [{model: a, start: 0, end: 4}]\n", ("a file of bakllama",)),
    "extraction": ("base_model: a\nfinetuned_model: b\nrank: 32\n", ("mergekit-extract-lora",)),
    "raw-weights": (
        average("x.bin", "y.pth"),
        ("2 things are wrong", "x.bin does not exist", "y.pth does not exist"),
    ),
    # slips, each with all the others
    "ranges": (
        "merge_method: passthrough\nslices:\n"
        "- sources: [{model: a, layer_range: [0, 4.5]}]\n- sources: [{model: a, layer_range: [4, 2]}]\n"
        "- sources: [{model: a, layer_range: [0, -1]}]\n- sources: [{model: a, layer_range: 0-4}]\n"
        "- sources: [{model: a}]\n- sources: [{model: a, layer_range: [0, 6, 2]}]\n- sources: []\n- {}\n"
        "- sources: [{model: a, layer_range: {start: 0, end: 6}}]\n",
        (
            "9 things are wrong",
            f"{SLICE} 1, source 1: layer_range must be two whole numbers, not [0, 4.5]",
            f"{SLICE} 2, source 1: layer_range [4, 2] has no layers",
            f"{SLICE} 3, source 1: layer_range must be two whole numbers, not [0, -1]",
            f"{SLICE} 4, source 1: layer_range must be two whole numbers, not '0-4'",
            f"{SLICE} 5, source 1 names no layer_range",
            "not [0, 6, 2]",
            f"{SLICE} 7 has no list of sources",
            f"{SLICE} 8 has no list of sources",
            "not {'end': 6, 'start': 0}",
        ),
    ),
    "beyond-the-model": (
        stacked(("a", 0, 80), ("b", 2, 6), ("deep", 5, 12)),
        (
            "2 things are wrong",
            f"{SLICE} 1: layer_range [0, 80] of a is not among its layers: it has 6",
            f"{SLICE} 3: layer_range [5, 12] of deep is not among its layers: it has 9",
        ),
    ),
    "unequal-lengths": (
        "merge_method: linear\nslices:\n- sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: "
        "[0, 5]}]\n- sources: [{model: a, layer_range: [4, 5]}, {model: b, layer_range: [4, 6]}]\n",
        (
            "2 things are wrong",
            f"{SLICE} 1: its sources have different",
            f"{SLICE} 2: its sources have different",
        ),
    ),
    "passthrough-of-two": (
        "merge_method: passthrough\nmodels: [{model: a}, {model: b}]\n",
        ("takes exactly 1 sub-model, and there are 2",),
    ),
    "passthrough-of-two-in-slices": (
        stacked(("a", 0, 1))
        + "- sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]\n",
        (f"{SLICE} 2: merge_method passthrough takes exactly 1",),
    ),
    "the-same-model-twice": (
        "merge_method: linear\nslices:\n- sources: [{model: a, layer_range: [0, 3]}, {model: a, layer_range: "
        "[3, 6]}]\n",
        (f"{SLICE} 1, sources 1 and 2 are the same model",),
    ),
    "slerp-of-three": (
        SLERP.replace("model: a,", "model: c,", 1),
        (f"{SLICE} 1: merge_method slerp takes exactly 1 sub-model beside the base, and there are 2",),
    ),
    "models-and-slices": (
        stacked(("a", 0, 4), more="models: [{model: b}]\nsede: 3\n"),
        ("2 things are wrong", "models and slices are both there", "unknown key 'sede'"),
    ),
    "a-method-in-each-slice": (
        stacked(("a", 0, 2)) + "  merge_method: slerp\n- sources: [{model: a, layer_range: [2, 4]}]\n"
        "  merge_method: linear\n",
        (f"{SLICE} 1: unknown key 'merge_method'", f"{SLICE} 2: unknown key 'merge_method'"),
    ),
    "sources-left-out": (
        "merge_method: passthrough\nslices:\n- {model: a, layer_range: [0, 4]}\n",
        (f"{SLICE} 1: unknown key 'model'", f"{SLICE} 1 has no list of sources"),
    ),
    "ranges-of-models": (
        "merge_method: linear\nmodels:\n- {model: a, layer_range: [0, 4]}\n"
        "- {model: b, layer_range: [0, 4]}\n",
        ("models, entry 1: 'layer_range' stands in the sources", "models, entry 2: 'layer_range' stands"),
    ),
    "values": (
        "merge_method: linear\nseed: -1\ndtype: bf17\nout_dtype: int64\nmissing: never\n"
        "chat_template: chatml2\nmodels: [{model: a, parameters: {weight: much}}, b]\n"
        "parameters: {normalize: [true, false]}\n",
        (
            "8 things are wrong",
            "seed must be a whole number",
            "dtype 'bf17' is not supported",
            "out_dtype 'int64' is not supported",
            "missing must be error or from_base or omit",
            "chat_template 'chatml2'",
            "models, entry 1: parameters.weight must be a number",
            "models, entry 2 is not a mapping",
            "parameters.normalize is one value for every tensor",
        ),
    ),
    "options-of-a-command-line": (
        average("a", "b", more="low_cpu_memory: true\nrandom_seed: 4\nout_shard_size: 5B\nlazy: 1\n"),
        (
            "4 things",
            "'low_cpu_memory' is an option",
            "'random_seed' is an option",
            "'out_shard_size'",
            "'lazy'",
        ),
    ),
    "every-document": (
        average("a", "nowhere", more="name: one\nsede: 1\n---\n")
        + "name: two\nmerge_method: regmean\nbase_model: a\nmodels: [{model: b}]\n---\n"
        + average("one", "two", more="dtype: bf17\n"),
        (
            "3 things are wrong",
            "document 'one': unknown key 'sede'",
            "document 'two': merge_method 'regmean'",
            "dtype 'bf17'",
        ),
    ),
    "every-documents-models": (
        average("a", "nowhere", more="name: one\n---\n")
        + stacked(("b", 0, 9), more="name: two\n---\n")
        + average("one", "two"),
        (
            "2 things are wrong",
            "document 'one': the model folder",
            "document 'two': slices, entry 1: layer_range [0, 9] of b",
        ),
    ),
    "a-circle": (
        average("two", more="name: one\n---\n") + average("one", more="name: two\n---\n") + average("one"),
        ("the documents 'one', 'two' need one another's results",),
    ),
    "itself": (
        average("a", "b", more="name: a\n---\n") + average("a", "c"),
        ("the document 'a' lists its own name as a model",),
    ),
    "two-results": (average("a") + "---\n" + average("b"), ("documents 1 and 2 have no name",)),
    "of-no-use": (
        average("a", more="name: one\n---\n") + average("b"),
        ("'one' is of no use to the result",),
    ),
    "a-path-as-a-name": (
        average("a", more="name: org/one\n---\n") + average("org/one"),
        ("the name 'org/one' of a document cannot be that of a folder",),
    ),
    "towers-that-differ": (
        "merge_method: linear\nmodules:\n  text_decoder: {models: [{model: a}, {model: b}]}\n"
        "  vision_tower: {models: [{model: a}]}\n",
        ("modules has 2 modules, 'text_decoder', 'vision_tower'",),
    ),
    "modules-beside-slices": (
        stacked(("a", 0, 2), more="modules: {default: {models: [{model: a}]}}\n"),
        ("modules, 'default': slices stands beside modules",),
    ),
    "not-downloaded": (
        average("hub/one", "hub/two", more="base_model: hub/three\n"),
        (
            "3 things are wrong",
            "hub/one does not exist",
            "hub/two does not exist",
            "hub/three does not exist",
        ),
    ),
    "tabs": ("merge_method: linear\nmodels:\n\t- model: a\n", ("line 3, is not valid YAML",)),
    "a-key-twice": (average("a", more="merge_method: slerp\n"), ("the key 'merge_method' stands twice",)),
    "nothing": ("# soon\n", ("the recipe is not a mapping of keys to values",)),
}


def planned(folder: Path, text: str) -> MergePlan:
    path = folder / "recipe.yml"
    path.write_bytes(text.encode())
    return plan_merge(load_recipe(path))


@pytest.mark.parametrize("name", PLANNED)
def test_it_is_planned(name: str, folder: Path) -> None:
    text, layers = PLANNED[name]
    plan = planned(folder, text)
    found = {tensor.output.name for tensor in plan.tensors}
    assert {name.split(".")[2] for name in found if ".layers." in name} == {str(at) for at in range(layers)}
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= found


def test_a_folder_is_not_called_like_a_document(folder: Path) -> None:
    """In records and in what is exported a name is one thing."""
    asked = planned(folder, PLANNED["a-document-of-a-folders-name"][0])
    said = recipe_as_dict(asked.asked, asked.names)
    assert [one["model"] for one in said["models"]] == ["a", f"{folder.name}/a"]
    assert [one["model"] for one in said["stages"][0]["models"]] == ["b", "c"]


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_every_reason(name: str, folder: Path) -> None:
    text, reasons = REFUSED[name]
    with pytest.raises(MergeError) as raised:
        planned(folder, text)
    message = raised.value.message
    assert [reason for reason in reasons if reason not in message] == [], message
    assert "\n" not in message
