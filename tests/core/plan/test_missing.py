"""Tensors that not every input has, and names of the same tensor that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core import IncompatibleError, plan_merge, read_record, run_merge, verify_output
from core.methods import METHODS
from core.plan.merge_plan import MergePlan
from core.plan.renaming import is_recomputed
from core.recipe.parsing import parse_recipe

W, V, HEAD, POOLER = "model.layers.0.w.weight", "model.layers.1.w.weight", "score.weight", "pooler.weight"
BASE = {W: [[1.0, 2.0]], V: [[3.0, 4.0]]}
A = {W: [[1.0, 6.0]], V: [[3.0, 8.0]]}
B = {W: [[5.0, 2.0]], V: [[7.0, 4.0]]}


def write(folder: Path, tensors: Mapping[str, Any], **config: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: np.asarray(v, np.float32) for n, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "custom", **config}))


def planned(folder: Path, *models: str, method: str = "linear", base: bool = True, **keys: Any) -> MergePlan:
    recipe = {"merge_method": method, "models": [{"model": name} for name in models], **keys}
    return plan_merge(parse_recipe(recipe | ({"base_model": "base"} if base else {}), folder))


def merged(folder: Path, *models: str, **how: Any) -> tuple[dict[str, Any], Any]:
    plan = planned(folder, *models, **how)
    record = run_merge(plan, folder / "out", threads=1)
    assert read_record(folder / "out").tensors == record.tensors
    tensors = load_file(folder / "out" / "model.safetensors")
    return {name: value.tolist() for name, value in tensors.items()}, (plan, record)


def reason(plan: MergePlan, name: str) -> tuple[str, str]:
    return next((entry.action, entry.reason) for entry in plan.ledger if entry.name == name)


# -- buffers that are computed anew


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (2,)),
        ("model.rotary_emb.inv_freq", (2,)),
        ("bert.embeddings.position_ids", (1, 4)),
        ("embeddings.token_type_ids", (1, 4)),
        ("transformer.h.0.attn.bias", (1, 1, 4, 4)),
        ("transformer.h.0.attn.masked_bias", ()),
        ("gpt_neox.layers.0.attention.bias", (1, 1, 4, 4)),
        ("transformer.h.0.attn.attention.bias", (1, 1, 4, 4)),
        ("layers.0.attention.self.relative_position_index", (4, 4)),
    ],
)
def test_buffers_that_loaders_compute_are_left_out_where_one_lacks_them(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    write(tmp_path / "base", BASE | {name: np.zeros(shape)})
    write(tmp_path / "a", A)
    write(tmp_path / "b", B | {name: np.ones(shape)})
    tensors, (plan, _) = merged(tmp_path, "a", "b")
    assert tensors == {W: [[3.0, 4.0]], V: [[5.0, 6.0]]}
    assert reason(plan, name) == ("omitted", "every loader computes it anew, and not every input stores it")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("transformer.h.0.attn.bias", (4,)),
        ("x.attention.bias", (2, 2)),
        ("lm_head.weight", (4, 2)),
        ("embeddings.position_embeddings.weight", (4, 2)),
        ("bn.num_batches_tracked", ()),
    ],
)
def test_what_is_trained_is_no_such_buffer(name: str, shape: tuple[int, ...]) -> None:
    assert not is_recomputed(name, shape)


# -- heads and poolers


@pytest.mark.parametrize("method", METHODS)
def test_a_head_that_only_the_sub_models_have(tmp_path: Path, method: str) -> None:
    """Merged without a delta: nothing is drawn again, and task-vector methods average it."""
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {HEAD: [[0.0] * 64]})
    write(tmp_path / "b", B | {HEAD: [[2.0] * 64]})
    keys = {"parameters": {"t": 0.5}} if method == "slerp" else {}
    alone = METHODS[method].most_models == 1
    models = ("b",) if alone else ("a", "b")
    tensors, (plan, record) = merged(tmp_path, *models, method=method, **keys)
    head = next(tensor for tensor in record.tensors if tensor.name == HEAD)
    assert head.nonfinite[-1] is None, "there was nothing to read in the base"
    if method == "parameter_selection":
        drawn = np.asarray(tensors[HEAD]).ravel()
        assert head.zero_delta == (0, 0)
        assert head.changed_by == (0, 0, 64)
        assert head.zero_after_draw == (0, 0)
        assert head.selected == (int((drawn == 0).sum()), int((drawn == 2).sum()))
        assert 10 < head.selected[0] < 54
    else:
        assert tensors[HEAD] == [[2.0 if alone else 1.0] * 64]
    assert "not in the base, and so without a delta" in reason(plan, HEAD)[1]


def test_selection_of_a_head_that_the_base_lacks_draws_under_its_own_name(tmp_path: Path) -> None:
    """The same draws as with a base that differs everywhere."""
    for place, base in (("with", BASE | {HEAD: [[9.0] * 64]}), ("without", BASE)):
        write(tmp_path / place / "base", base)
        write(tmp_path / place / "a", A | {HEAD: [[0.0] * 64]})
        write(tmp_path / place / "b", B | {HEAD: [[2.0] * 64]})
    results = [
        merged(tmp_path / place, "a", "b", method="parameter_selection", seed=5)[0]
        for place in ("with", "without")
    ]
    assert results[0] == results[1]


def test_heads_of_other_class_counts_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {HEAD: np.zeros((2, 2))})
    write(tmp_path / "b", B | {HEAD: np.zeros((3, 2))})
    with pytest.raises(
        IncompatibleError, match=r"'score\.weight' has shape 3×2 in .*b and 2×2 in .*a"
    ) as error:
        planned(tmp_path, "a", "b")
    assert (error.value.tensor, error.value.entry) == (HEAD, 1)


def test_what_only_the_base_has_is_left_out_where_architectures_differ(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE | {"cls.weight": [[1.0]]}, architectures=["BertForMaskedLM"])
    write(tmp_path / "a", A | {HEAD: [[3.0]]}, architectures=["BertForSequenceClassification"])
    tensors, (plan, _) = merged(tmp_path, "a")
    assert tensors == {**A, HEAD: [[3.0]]}
    assert reason(plan, "cls.weight") == (
        "omitted",
        "only in base, whose architecture the sub-models do not have",
    )


def test_what_only_the_base_has_is_refused_where_they_do_not_and_the_hint_works(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE | {"extra.weight": [[1.5]]}, architectures=["X"])
    write(tmp_path / "a", A, architectures=["X"])
    write(tmp_path / "b", B, architectures=["X"])
    with pytest.raises(IncompatibleError, match=r"'extra\.weight' of .*base is missing in .*a") as error:
        planned(tmp_path, "a", "b")
    assert "`missing: from_base`" in str(error.value.hint)
    assert "`missing: omit`" in str(error.value.hint)
    tensors, (plan, record) = merged(tmp_path, "a", "b", missing="from_base", method="parameter_selection")
    assert tensors["extra.weight"] == [[1.5]]
    extra = next(tensor for tensor in record.tensors if tensor.name == "extra.weight")
    assert (extra.action, extra.selected, extra.zero_delta) == ("copied", None, None)
    assert extra.nonfinite == (None, None, 0)
    assert extra.missing_in == ("a", "b")
    assert reason(plan, "extra.weight") == ("copied", "only in the base, and taken from it")
    omitted = planned(tmp_path, "a", "b", missing="omit")
    assert reason(omitted, "extra.weight")[0] == "omitted"


def test_from_base_fills_in_what_one_sub_model_lacks(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A)
    write(tmp_path / "b", {W: B[W]})
    with pytest.raises(
        IncompatibleError, match=r"layers\.1\.w\.weight' of .*base is missing in .*b"
    ) as error:
        planned(tmp_path, "a", "b")
    assert error.value.entry == 1
    tensors, (plan, _) = merged(tmp_path, "a", "b", missing="from_base")
    assert tensors == {W: [[3.0, 4.0]], V: [[3.0, 6.0]]}
    assert reason(plan, V) == ("merged", "not in b, and taken there from the base")
    record = run_merge(
        planned(tmp_path, "a", "b", missing="from_base", method="parameter_selection"), tmp_path / "drawn"
    )
    assert record.tensors[1].zero_delta == (1, 2)


@pytest.mark.parametrize("method", ["linear", "parameter_selection", "task_arithmetic"])
def test_what_the_base_and_one_sub_model_lack(tmp_path: Path, method: str) -> None:
    """Refused unless the recipe says otherwise; then merged from those that have it."""
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {HEAD: [[0.0] * 64]})
    write(tmp_path / "b", B)
    write(tmp_path / "c", B | {HEAD: [[2.0] * 64]})
    with pytest.raises(IncompatibleError, match=r"'score\.weight' of .*a is missing in"):
        planned(tmp_path, "a", "b", "c", method=method)
    tensors, (_, record) = merged(tmp_path, "a", "b", "c", method=method, missing="from_base")
    head = next(tensor for tensor in record.tensors if tensor.name == HEAD)
    assert head.missing_in == ("b",)
    assert head.nonfinite == (0, None, 0, None)
    if method == "parameter_selection":
        drawn = np.asarray(tensors[HEAD]).ravel()
        assert head.selected == (int((drawn == 0).sum()), 0, int((drawn == 2).sum()))
        assert (head.zero_delta, head.changed_by) == ((0, 0, 0), (0, 0, 64, 0))
    else:
        assert tensors[HEAD] == [[1.0] * 64]
    assert HEAD not in merged_names(planned(tmp_path, "a", "b", "c", method=method, missing="omit"))


def merged_names(plan: MergePlan) -> set[str]:
    return {tensor.output.name for tensor in plan.tensors}


def test_a_linear_sum_is_normalised_over_those_that_have_the_tensor(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {HEAD: [[1.0]]})
    write(tmp_path / "b", B)
    write(tmp_path / "c", B | {HEAD: [[4.0]]})
    weights = [0.5, 3.0, 1.0]
    models = [
        {"model": name, "parameters": {"weight": weight}} for name, weight in zip("abc", weights, strict=True)
    ]
    recipe = {"merge_method": "linear", "base_model": "base", "models": models, "missing": "from_base"}
    recipe["parameters"] = {"normalize": False}
    run_merge(plan_merge(parse_recipe(recipe, tmp_path)), tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert tensors[HEAD] == pytest.approx((0.5 * 1 + 1.0 * 4) / 1.5)
    assert tensors[W][0, 0] == 0.5 * 1 + 3 * 5 + 1 * 5


# -- names


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"base_model.model.{name}",
        lambda name: name.replace("layers.0.", "layers.0._orig_mod."),
        lambda name: name.replace("model.", "model._fsdp_wrapped_module."),
        lambda name: f"_forward_module.{name}",
    ],
)
@pytest.mark.parametrize("who", ["base", "a"])
def test_wrappers_are_taken_off(tmp_path: Path, wrapped: Any, who: str) -> None:
    for name, tensors in (("base", BASE), ("a", A), ("b", B)):
        own = {wrapped(key): value for key, value in tensors.items()} if name == who else tensors
        write(tmp_path / name, own)
    tensors, (plan, _) = merged(tmp_path, "a", "b")
    assert tensors == {W: [[3.0, 4.0]], V: [[5.0, 6.0]]}
    assert any(warning.startswith(f"{who}: ") for warning in plan.warnings), plan.warnings


def test_a_base_without_its_head_and_prefix(tmp_path: Path) -> None:
    """AutoModel saves the inner model: `layers.0` for `model.layers.0`."""
    write(tmp_path / "base", {name.removeprefix("model."): value for name, value in BASE.items()})
    write(tmp_path / "a", A | {HEAD: [[1.0]]})
    write(tmp_path / "b", B | {HEAD: [[3.0]]})
    tensors, (plan, _) = merged(tmp_path, "a", "b")
    assert tensors == {W: [[3.0, 4.0]], V: [[5.0, 6.0]], HEAD: [[2.0]]}
    assert "base: 2 of 2 names differ by the prefix 'model.', and matched without it" in plan.warnings


def test_the_output_has_the_names_of_the_first_sub_model(tmp_path: Path) -> None:
    bare = {name.removeprefix("model."): value for name, value in A.items()}
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", bare)
    write(tmp_path / "b", B)
    tensors, _ = merged(tmp_path, "a", "b")
    assert tensors.keys() == bare.keys()


def test_older_spellings(tmp_path: Path) -> None:
    write(tmp_path / "base", {W: BASE[W], "norm.gamma": [1.0], "norm.beta": [2.0], "conv.weight_g": [1.0]})
    names = ("norm.weight", "norm.bias", "conv.parametrizations.weight.original0")
    write(tmp_path / "a", {W: A[W], **{name: [3.0] for name in names}})
    write(tmp_path / "b", {W: B[W], **{name: [5.0] for name in names}})
    tensors, _ = merged(tmp_path, "a", "b", method="task_arithmetic")
    assert tensors.keys() == {W, *names}
    assert tensors["norm.weight"] == [1.0 + 2 + 4]
    assert tensors["norm.bias"] == [2.0 + 1 + 3]


def test_prefixes_that_mean_other_things_are_named_and_not_matched(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    for name, tensors in (("a", A), ("b", B)):
        write(tmp_path / name, {n.replace("model.", "transformer."): v for n, v in tensors.items()})
    with pytest.raises(
        IncompatibleError, match=r"2 of 2 names differ by the prefix 'model\.' \(there"
    ) as error:
        planned(tmp_path, "a", "b")
    assert "fine-tuned from this base" not in str(error.value.hint)


def test_an_encoder_is_not_a_decoder(tmp_path: Path) -> None:
    write(tmp_path / "base", {"encoder.w": [1.0], "decoder.w": [2.0]})
    write(tmp_path / "a", {"encoder.w": [3.0]})
    write(tmp_path / "b", {"decoder.w": [3.0]})
    with pytest.raises(IncompatibleError, match="is missing in"):
        planned(tmp_path, "a", "b")


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.w.lora_A.default.weight",
        "base_model.model.model.layers.0.w.base_layer.weight",
        "score.modules_to_save.default.weight",
    ],
)
def test_an_adapter_that_is_not_merged_is_called_so(tmp_path: Path, name: str) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {name: [[1.0]]})
    with pytest.raises(IncompatibleError, match="is a model of peft whose adapter is not merged") as error:
        planned(tmp_path, "a")
    assert "merge_and_unload" in str(error.value.hint)


@pytest.mark.parametrize("who", ["a", "base"])
def test_a_name_that_a_script_put_before_all_names(tmp_path: Path, who: str) -> None:
    """`llm.` is no prefix that a class of the type has: the output goes without it, so that it loads."""
    for name, tensors in (("base", BASE), ("a", A), ("b", B)):
        own = {f"llm.{key}": value for key, value in tensors.items()} if name == who else tensors
        write(tmp_path / name, own, model_type="llama")
    tensors, (plan, _) = merged(tmp_path, "a", "b")
    assert tensors == {W: [[3.0, 4.0]], V: [[5.0, 6.0]]}
    assert any("'llm.'" in warning for warning in plan.warnings)


def test_a_few_names_of_other_heads_are_no_prefix(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {"cls.transform.dense.weight": [[1.0]]})
    write(tmp_path / "b", B | {"bert.pooler.dense.weight": [[1.0]]})
    with pytest.raises(IncompatibleError, match="is missing in") as error:
        planned(tmp_path, "a", "b")
    assert "missing: omit" in str(error.value.hint)
    assert merged_names(planned(tmp_path, "a", "b", missing="omit")) == {W, V}


def test_an_older_folder_of_a_sentence_transformer_and_its_plain_base(tmp_path: Path) -> None:
    """Its model lies in 0_Transformer, whose tensors are the base's under other names."""
    write(tmp_path / "base", BASE)
    for name, tensors in (("a", A), ("b", B)):
        write(tmp_path / name / "0_Transformer", tensors)
        modules = [
            {
                "idx": 0,
                "name": "0",
                "path": "0_Transformer",
                "type": "sentence_transformers.models.Transformer",
            }
        ]
        (tmp_path / name / "modules.json").write_text(json.dumps(modules))
    plan = planned(tmp_path, "a", "b")
    run_merge(plan, tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "0_Transformer" / "model.safetensors")
    assert {name: value.tolist() for name, value in tensors.items()} == {W: [[3.0, 4.0]], V: [[5.0, 6.0]]}
    report = verify_output(tmp_path / "out")
    assert (report.weights, report.files, report.tensors) == ((), (), 2)


@pytest.mark.parametrize("way", ["base", "sub-models"])
def test_two_prefixes_that_would_do_are_none(tmp_path: Path, way: str) -> None:
    """The encoder alone, and a model with two encoders of equal shapes: which one is it?"""
    bare = {"encoder.layers.0.w": [[1.0]], "encoder.layers.1.w": [[2.0]]}
    both = {
        f"{tower}.{name}": value for tower in ("text_model", "vision_model") for name, value in bare.items()
    }
    write(tmp_path / "base", both if way == "base" else bare)
    write(tmp_path / "a", bare if way == "base" else both)
    with pytest.raises(IncompatibleError, match=r"differ by the prefix 'text_model\.', or as well by 'vis"):
        planned(tmp_path, "a")


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("down_blocks.1.resnets.0.conv.w", "down_blocks.0.resnets.1.conv.w"),
        ("layers.0.attn.norm.w", "layers.0.norm.w"),
        ("classifier.dense.w", "classifier.w"),
    ],
)
def test_single_tensors_of_like_names_are_other_tensors(tmp_path: Path, here: str, there: str) -> None:
    rest = {f"x.{number}.w": [1.0] for number in range(20)}
    write(tmp_path / "base", rest | {here: [[1.0]]})
    write(tmp_path / "a", rest | {there: [[2.0]]})
    with pytest.raises(IncompatibleError, match="is missing in"):
        planned(tmp_path, "a", missing="error")


def test_parts_of_a_multimodal_model_in_another_order(tmp_path: Path) -> None:
    """transformers 4 and 5 name them differently; the head's prefix is part of the language model's."""
    old = {f"language_model.model.layers.{n}.w": [[float(n)]] for n in range(12)}
    old |= {f"vision_tower.layers.{n}.v": [[1.0]] for n in range(12)} | {
        "language_model.lm_head.w": [[1.0, 2.0]]
    }
    new = {f"model.language_model.layers.{n}.w": [[n + 2.0]] for n in range(12)}
    new |= {f"model.vision_tower.layers.{n}.v": [[3.0]] for n in range(12)} | {"lm_head.w": [[5.0, 2.0]]}
    write(tmp_path / "base", old)
    write(tmp_path / "a", new)
    tensors, _ = merged(tmp_path, "a", method="task_arithmetic")
    assert tensors == new


def test_nothing_in_common_is_refused_also_where_tensors_may_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", {"other.w": [1.0]})
    write(tmp_path / "b", {"another.w": [1.0]})
    with pytest.raises(IncompatibleError, match="no tensor is in all of"):
        planned(tmp_path, "a", "b", missing="omit", base=False)


@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
def test_a_base_of_other_names_is_no_base(tmp_path: Path, method: str) -> None:
    """Also where architectures differ, so that what it has would be left out, and the rest be averaged."""
    write(tmp_path / "base", BASE, architectures=["LlamaForCausalLM"])
    for name, tensors in (("a", A), ("b", B)):
        own = {key.replace("model.", "backbone."): value for key, value in tensors.items()}
        write(tmp_path / name, own | {HEAD: [[1.0]]}, architectures=["LlamaForSequenceClassification"])
    with pytest.raises(
        IncompatibleError, match=r"has 0 of the 3 .*2 of 2 names differ by the prefix 'model\.'"
    ) as e:
        planned(tmp_path, "a", "b", method=method)
    assert e.value.field == "base_model"


def test_a_head_without_a_base_is_normalised_also_where_a_sum_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "base", BASE)
    write(tmp_path / "a", A | {HEAD: [[1.0]]})
    write(tmp_path / "b", B | {HEAD: [[3.0]]})
    tensors, _ = merged(tmp_path, "a", "b", parameters={"normalize": False})
    assert tensors[HEAD] == [[2.0]]
    assert tensors[W] == [[6.0, 8.0]]


@pytest.mark.parametrize("missing", ["omit", "from_base", "error"])
@pytest.mark.parametrize("first", ["a", "b"])
def test_parts_that_not_every_sub_model_has(tmp_path: Path, missing: str, first: str) -> None:
    """A Dense layer in a folder of its own, which modules.json names."""
    kind = "sentence_transformers.models."
    modules = [{"idx": 0, "name": "0", "path": "", "type": f"{kind}Transformer"}]
    dense = {"idx": 1, "name": "1", "path": "2_Dense", "type": f"{kind}Dense"}
    for name, tensors in (("base", BASE), ("a", A), ("b", B)):
        write(tmp_path / name, tensors)
        listed = [*modules, dense] if name == "b" else modules
        (tmp_path / name / "modules.json").write_text(json.dumps(listed))
    write(tmp_path / "b" / "2_Dense", {"linear.weight": [[1.0]]})
    order = ("a", "b") if first == "a" else ("b", "a")
    with pytest.raises(IncompatibleError, match=r"has weights of its own in 2_Dense, and .*a has none there"):
        planned(tmp_path, *order, missing=missing)


@pytest.mark.parametrize(
    ("method", "parameters", "weights", "said"),
    [
        ("linear", {}, (1.0, 0.0), "only a has a weight that is not 0: the others change nothing"),
        ("task_arithmetic", {"lambda": 0}, (1.0, 1.0), "lambda is 0: the result is the base"),
        ("slerp", {"t": 0}, (None,), "t is 0: the result is the base"),
        ("slerp", {"t": 1}, (None,), "t is 1: the result is a"),
        ("linear", {}, (1.0, 2.0), None),
    ],
)
def test_values_that_make_no_merge(
    tmp_path: Path, method: str, parameters: Any, weights: Any, said: str | None
) -> None:
    for name, tensors in (("base", BASE), ("a", A), ("b", B)):
        write(tmp_path / name, tensors)
    models = [
        {"model": name} | ({"parameters": {"weight": weight}} if weight is not None else {})
        for name, weight in zip("ab", weights, strict=False)
    ]
    recipe = {"merge_method": method, "base_model": "base", "models": models, "parameters": parameters}
    warnings = plan_merge(parse_recipe(recipe, tmp_path)).warnings
    of_values = [one for one in warnings if "only" in one or "the result is" in one]
    assert of_values == ([said] if said else [])
