"""Models put together from layers: where each tensor comes from, by which values; what the config says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from stored_models import store

from core import plan_merge, read_record, run_merge, verify_output
from core.errors import IncompatibleError, MergeError
from core.plan.merge_plan import MergePlan
from core.recipe.parsing import parse_recipe
from core.runs.history import HistoryEntry

LAYERS = {"a": 4, "b": 6, "c": 4}
WIDTH = 8
STACK = "model.layers"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    for seed, (name, layers) in enumerate(LAYERS.items()):
        make(place / name, layers, seed)
    return place


def make(place: Path, layers: int, seed: int, stack: str = STACK, **config: Any) -> None:
    """A model whose every number tells model, layer and tensor apart."""
    generator = torch.Generator().manual_seed(seed)
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"{stack}.{at}.{part}.weight" for at in range(layers) for part in ("self_attn.q", "mlp.up")]
    tensors = {}
    for name in names:
        values = torch.randn((WIDTH, WIDTH), generator=generator).to(torch.bfloat16)
        tensors[name] = ("BF16", (WIDTH, WIDTH), values.view(torch.uint8).numpy().tobytes())
    said = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": layers}
    store(place, tensors, {**said, **config})


def source(model: str, first: int, last: int, **parameters: Any) -> dict[str, Any]:
    return {"model": model, "layer_range": [first, last], "parameters": parameters}


def planned(folder: Path, method: str, *slices: dict[str, Any], **more: Any) -> MergePlan:
    return plan_merge(parse_recipe({"merge_method": method, "slices": list(slices), **more}, folder))


def merged(plan: MergePlan, out: Path) -> dict[str, torch.Tensor]:
    run_merge(plan, out)
    assert verify_output(out).tensors
    return load_file(out / "model.safetensors")


SLOW = ("slerp", "parameter_selection")
STACKED = (
    {"sources": [source("a", 0, 3)]},
    {"sources": [source("b", 2, 6)]},
    {"sources": [source("a", 3, 4)]},
)
ORIGINS = [*(("a", at) for at in range(3)), *(("b", at) for at in range(2, 6)), ("a", 3)]


def test_layers_are_taken_over_and_counted_through(folder: Path, tmp_path: Path) -> None:
    slices = [*STACKED[:2], {"sources": [source("c", 3, 4)]}]
    found = merged(planned(folder, "passthrough", *slices), tmp_path / "out")
    inputs = {name: load_file(folder / name / "model.safetensors") for name in LAYERS}
    expected = {}
    for at, (model, layer) in enumerate([*ORIGINS[:-1], ("c", 3)]):
        for part in ("self_attn.q", "mlp.up"):
            expected[f"{STACK}.{at}.{part}.weight"] = inputs[model][f"{STACK}.{layer}.{part}.weight"]
    expected["model.embed_tokens.weight"] = inputs["a"]["model.embed_tokens.weight"]
    for name in ("model.norm.weight", "lm_head.weight"):
        expected[name] = inputs["c"][name]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(found[name], values), name
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 8
    assert read_record(tmp_path / "out").recipe["slices"] == [
        {"sources": [{"model": name, "layer_range": [first, last]}]}
        for name, first, last in (("a", 0, 3), ("b", 2, 6), ("c", 3, 4))
    ]


def test_a_slice_is_merged_by_its_own_base_and_parameters(folder: Path, tmp_path: Path) -> None:
    """Gradients begin anew in each slice; where nothing is said, the recipe's parameters hold."""
    out = merged(
        planned(
            folder,
            "task_arithmetic",
            {
                "sources": [source("a", 0, 3, weight=[0.0, 1.0]), source("b", 3, 6)],
                "parameters": {"lambda": [{"filter": "mlp", "value": 0.5}]},
            },
            {"sources": [source("c", 0, 2), source("a", 2, 4)], "base_model": "c"},
            base_model="b",
            parameters={"lambda": 2.0},
        ),
        tmp_path / "out",
    )
    inputs = {name: load_file(folder / name / "model.safetensors") for name in LAYERS}

    def value(model: str, name: str) -> torch.Tensor:
        return inputs[model][name].to(torch.float32)

    def check(
        written: str, scale: float, weight: float, base: str, of_base: str, model: str, own: str
    ) -> None:
        origin = value(base, of_base)
        expected = origin + scale * (weight * (value(model, own) - origin))
        assert torch.equal(out[written], expected.to(torch.bfloat16)), written

    for part, scale in (("self_attn.q", 2.0), ("mlp.up", 0.5)):
        for at, weight in enumerate((0.0, 0.5, 1.0)):
            rest = f"{part}.weight"
            check(
                f"{STACK}.{at}.{rest}",
                scale,
                weight,
                "b",
                f"{STACK}.{at + 3}.{rest}",
                "a",
                f"{STACK}.{at}.{rest}",
            )
    for at in range(2):
        name = f"{STACK}.{at}.mlp.up.weight"
        check(f"{STACK}.{at + 3}.mlp.up.weight", 2.0, 1.0, "c", name, "a", f"{STACK}.{at + 2}.mlp.up.weight")
    for name, weight, base in (("model.embed_tokens.weight", 0.0, "b"), ("model.norm.weight", 1.0, "c")):
        check(name, 2.0, weight, base, name, "a", name)


@pytest.mark.parametrize("method", ["linear", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_one_slice_of_all_layers_is_no_slice(folder: Path, tmp_path: Path, method: str) -> None:
    base = {} if method == "linear" else {"base_model": "a"}
    parameters = {"t": [0.1, 0.7]} if method == "slerp" else {"weight": [0.5, 2.0]}
    models = [source("a", 0, 4), source("c", 0, 4)]
    data = {"merge_method": method, "slices": [{"sources": models, "parameters": parameters}], **base}
    plan = plan_merge(parse_recipe(data, folder))
    plain = [{"model": one["model"]} for one in models]
    whole = plan_merge(
        parse_recipe({"merge_method": method, "models": plain, "parameters": parameters, **base}, folder)
    )
    assert plan.recipe == whole.recipe
    run_merge(plan, tmp_path / "sliced")
    run_merge(whole, tmp_path / "whole")
    one, other = (read_record(tmp_path / name) for name in ("sliced", "whole"))
    assert [vars(tensor) for tensor in one.tensors] == [vars(tensor) for tensor in other.tensors]
    asked = parse_recipe(data, folder)
    assert one.recipe["slices"], "which is what its author wrote"
    assert HistoryEntry.begin(asked, tmp_path / "sliced").done(one).wrote(one)
    config = (tmp_path / "sliced" / "mergekit_config.yml").read_text() if method != SLOW[1] else "slices:"
    assert "slices:" in config


def test_a_resumed_merge_of_slices_is_whole(folder: Path, tmp_path: Path) -> None:
    plan = planned(folder, "passthrough", *STACKED)
    run_merge(plan, tmp_path / "out")
    assert run_merge(planned(folder, "passthrough", *STACKED), tmp_path / "out", resume=True).tensors
    with pytest.raises(MergeError, match="exists"):
        run_merge(planned(folder, "passthrough", *STACKED[:2]), tmp_path / "out")


@pytest.mark.parametrize(
    ("slices", "said", "entry"),
    [
        ([{"sources": [source("a", 0, 5)]}], "layer_range [0, 5] of a is not among its layers: it has 4", 0),
        (
            [STACKED[0], {"sources": [source("b", 2, 9)]}],
            "slices, entry 2: layer_range [2, 9] of b is not among its layers: it has 6",
            1,
        ),
        (
            [{"sources": [source("a", 3, 5)]}, {"sources": [source("b", 2, 9)]}],
            "2 things are wrong: slices, entry 1: layer_range [3, 5] of a is not among its layers: it has 4, "
            "so that the last range ends with 4; slices, entry 2: layer_range [2, 9] of b",
            0,
        ),
    ],
)
def test_a_range_that_is_not_there(folder: Path, slices: list[dict[str, Any]], said: str, entry: int) -> None:
    with pytest.raises(IncompatibleError) as raised:
        planned(folder, "passthrough", *slices)
    assert said in raised.value.message
    assert (raised.value.field, raised.value.entry) == ("slices", entry)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"mlp.up.weight": (4, WIDTH)},
            r"has 'mlp.up.weight' of shape \[4, 8\], and the layers of a of \[8, 8\]",
        ),
        ({"mlp.up.bias": (WIDTH,)}, "has 'mlp.up.bias', and no layer of a has it"),
        ({"mlp.up.weight": None}, "has no 'mlp.up.weight', and the layers of a have it"),
    ],
)
def test_layers_that_no_config_describes(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], said: str
) -> None:
    """Models of the same kind and of other sizes; where a config gives sizes by layer, it describes them."""
    parts: dict[str, tuple[int, ...] | None] = {"self_attn.q.weight": (8, 8), "mlp.up.weight": (8, 8)}
    sizes = {"up_sizes": [8, 8]}
    for name, own in (("a", parts), ("b", parts | change)):
        tensors = {
            f"{STACK}.{at}.{part}": ("BF16", shape) for at in range(2) for part, shape in own.items() if shape
        }
        tensors["model.embed_tokens.weight"] = ("BF16", (8, 8))
        for more in ({}, sizes):
            config = {"model_type": "llama", "num_hidden_layers": 2, **more}
            store(tmp_path / f"{name}{len(more) or ''}", tensors, config)
    slices = [{"sources": [source("a", 0, 2)]}, {"sources": [source("b", 1, 2)]}]
    with pytest.raises(IncompatibleError, match=f"layer 2 of the result, layer 1 of b, {said}") as raised:
        planned(tmp_path, "passthrough", *slices)
    assert raised.value.field == "slices"
    if "weight" in said and None not in change.values():
        listed = [{"sources": [source("a1", 0, 2)]}, {"sources": [source("b1", 1, 2)]}]
        assert len(planned(tmp_path, "passthrough", *listed).layers) == 3


def test_layers_of_different_kinds_that_are_merged_are_told(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        make(tmp_path / name, 4, seed, model_type="gemma2")
    alike = {"sources": [source("a", 0, 2), source("b", 2, 4)]}
    other = {"sources": [source("a", 2, 4), source("b", 1, 3)]}
    (told,) = (one for one in planned(tmp_path, "linear", alike, other).warnings if "kinds" in one)
    assert told == (
        "layer 2 of the result is merged of layers of different kinds: by layer_types that of a is "
        "'sliding_attention' and that of b 'full_attention'; so are 1 more"
    )
    assert not any("kinds" in one for one in planned(tmp_path, "linear", alike).warnings)


def test_what_configs_say_of_layers_may_differ(tmp_path: Path) -> None:
    """Models of other depths, with a list for each layer: the result has a list of its own."""
    for seed, (name, layers) in enumerate({"a": 2, "b": 3}.items()):
        make(tmp_path / name, layers, seed, no_rope_layers=[1] * (layers - 1) + [0])
    slices = [{"sources": [source("a", 0, 2)]}, {"sources": [source("b", 1, 3)]}]
    plan = planned(tmp_path, "passthrough", *slices)
    assert not any("num_hidden_layers" in one or "no_rope_layers" in one for one in plan.warnings)
    run_merge(plan, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["no_rope_layers"] == [1, 0, 1, 0]


def test_a_base_that_is_no_source_gives_the_layers_of_the_first_one(folder: Path, tmp_path: Path) -> None:
    plan = planned(folder, "slerp", {"sources": [source("b", 1, 3)]}, base_model="a", parameters={"t": 0.0})
    found = merged(plan, tmp_path / "out")
    expected = load_file(folder / "a" / "model.safetensors")
    assert torch.equal(found[f"{STACK}.0.mlp.up.weight"], expected[f"{STACK}.1.mlp.up.weight"])


def test_a_head_of_another_model_is_not_the_embedding(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        make(tmp_path / name, 2, seed, tie_word_embeddings=True)
    plan = planned(
        tmp_path, "passthrough", {"sources": [source("a", 0, 2)]}, {"sources": [source("b", 0, 2)]}
    )
    merged(plan, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize("stack", ["transformer.h", "gpt_neox.layers", "decoder.block", "backbone.layers"])
def test_layers_are_found_by_their_names(tmp_path: Path, stack: str) -> None:
    make(tmp_path / "a", 3, 0, stack)
    plan = planned(
        tmp_path, "passthrough", {"sources": [source("a", 1, 3)]}, {"sources": [source("a", 0, 1)]}
    )
    found = merged(plan, tmp_path / "out")
    expected = load_file(tmp_path / "a" / "model.safetensors")
    for at, layer in enumerate((1, 2, 0)):
        assert torch.equal(found[f"{stack}.{at}.mlp.up.weight"], expected[f"{stack}.{layer}.mlp.up.weight"])


def test_several_stacks_that_could_be_meant(tmp_path: Path) -> None:
    tensors = {f"{part}.block.{at}.w": ("F32", (2,)) for part in ("encoder", "decoder") for at in range(2)}
    store(tmp_path / "a", tensors, {"model_type": "t5", "num_layers": 2})
    with pytest.raises(IncompatibleError, match=r"cannot be told which layers of a .*encoder.block, decoder"):
        planned(tmp_path, "passthrough", {"sources": [source("a", 0, 1)]})
