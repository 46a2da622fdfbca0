"""LoRA adapters as sub-models: the bytes of folders into which they were merged by an independent sum."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapters import (
    KINDS,
    PREFIX,
    as_folder,
    make_adapter,
    make_base,
    merged,
    modules,
    read,
    write_adapter,
)
from safetensors.torch import load_file

from core import RunRecord, parse_recipe, plan_merge, run_merge, table
from core.checkpoint.model import open_checkpoint
from core.errors import CheckpointError, IncompatibleError, MergeError
from core.plan.adapting import adapted_tensors
from core.sources.adapted import Adapted
from core.sources.factor_cache import FactorCache

HAS_TRITON = importlib.util.find_spec("triton") is not None

# Triton looks at this where a kernel is defined and where it runs; other modules' tests are not to see it.
if HAS_TRITON:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        importlib.import_module("core.kernels.gpu.workspace")

MAGNITUDE = "lm_head.lora_magnitude_vector"

ONE = {"merge_method": "linear", "parameters": {"weight": 1}}


def merge(
    folder: Path, recipe: dict[str, Any], out: str, **how: Any
) -> tuple[dict[str, torch.Tensor], RunRecord]:
    record = run_merge(plan_merge(parse_recipe(recipe, folder)), folder / out, **how)
    return read(folder / out), record


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
        assert torch.equal(found[name].view(kind), tensor.view(kind)), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_adapter(tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base", conv=kind == "conv1d")
    adapter = make_adapter(tmp_path / "adapter", kind)
    expected = merged(base, adapter)
    changed = [name for name, tensor in expected.items() if not torch.equal(tensor, read(base)[name])]
    assert len(changed) >= 4
    found, _ = merge(tmp_path, {**ONE, "base_model": "base", "models": [{"model": "adapter"}]}, "out")
    same(found, expected)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("plain", torch.float16),
        ("plain", torch.float64),
        ("dora", torch.float16),
        ("dora", torch.float32),
        ("dora", torch.float64),
        ("modules_to_save", torch.float32),
    ],
    ids=str,
)
def test_on_a_base_of_another_type(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    base = make_base(tmp_path / "base", dtype=dtype)
    adapter = make_adapter(
        tmp_path / "adapter", kind, dtype=torch.float16 if kind == "plain" else torch.float32
    )
    found, _ = merge(tmp_path, {**ONE, "base_model": "base", "models": [{"model": "adapter"}]}, "out")
    same(found, merged(base, adapter))


@pytest.mark.parametrize("kind", ["plain", "dora"])
def test_another_merge_type_is_rounded_to_once(tmp_path: Path, kind: str) -> None:
    """Not by way of the base's type: a float32 merge over a bfloat16 base has the whole sum."""
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", kind)
    wide = as_folder(tmp_path / "wide", {name: one.float() for name, one in read(base).items()}, {})
    recipe = {**ONE, "base_model": "base", "models": [{"model": "adapter"}], "dtype": "float32"}
    found, _ = merge(tmp_path, recipe, "out")
    same(found, merged(wide, adapter))


SLOW = [pytest.param(method, marks=pytest.mark.slow) for method in ("task_arithmetic", "slerp")]


@pytest.mark.parametrize("method", ["parameter_selection", "linear", *SLOW])
def test_a_merge_over_adapters_is_that_over_such_folders(tmp_path: Path, method: str) -> None:
    base = make_base(tmp_path / "base")
    kinds = ["plain", "dora", "rslora on everything"][: 1 if method == "slerp" else 3]
    for number, kind in enumerate(kinds):
        adapter = make_adapter(tmp_path / f"adapter-{number}", kind, seed=number)
        as_folder(
            tmp_path / f"whole-{number}",
            merged(base, adapter),
            json.loads((base / "config.json").read_text()),
        )
    parameters = {"t": 0.3} if method == "slerp" else {"weight": 0.4}

    def recipe(name: str) -> dict[str, Any]:
        models = [{"model": f"{name}-{number}"} for number in range(len(kinds))]
        return {"merge_method": method, "base_model": "base", "models": models, "parameters": parameters}

    expected, known = merge(tmp_path, recipe("whole"), "of-wholes")
    assert any(not torch.equal(expected[name], tensor) for name, tensor in read(base).items())
    for number, how in enumerate(
        ({}, {"threads": 1}, {"threads": 2, "chunk_bytes": 1}, {"chunk_bytes": 20_000})
    ):
        found, record = merge(tmp_path, recipe("adapter"), f"out-{number}", **how)
        same(found, expected)
        for one, other in zip(record.tensors, known.tensors, strict=True):
            assert (one.zero_delta, one.selected, one.digest) == (
                other.zero_delta,
                other.selected,
                other.digest,
            )


def test_stacked_adapters_add_up_in_their_order(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    one = make_adapter(tmp_path / "one", "plain", seed=1)
    two = make_adapter(tmp_path / "two", "rslora on everything", seed=2)
    for number, (text, adapters) in enumerate(
        (("base+one+two", (one, two)), ("base+two+one", (two, one)), ("one+two", (one, two)))
    ):
        recipe = {**ONE, "base_model": "base", "models": [{"model": text}]}
        found, _ = merge(tmp_path, recipe, f"out-{number}")
        same(found, merged(base, *adapters))


def test_an_adapter_on_another_model_than_the_base(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    tuned = make_base(tmp_path / "tuned", seed=4)
    adapter = make_adapter(tmp_path / "adapter", "plain")
    recipe = {**ONE, "base_model": "base", "models": [{"model": "tuned+adapter"}]}
    plan = plan_merge(parse_recipe(recipe, tmp_path))
    assert plan.models[0].adapter_text == "adapter on tuned, rank 11"
    assert any("trained on ../base, and is put on tuned" in warning for warning in plan.warnings)
    found, _ = merge(tmp_path, recipe, "out")
    same(found, merged(tuned, adapter))


def test_the_base_that_it_names_is_taken_where_the_recipe_names_none(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", "plain")
    found, record = merge(tmp_path, {**ONE, "models": [{"model": "adapter"}]}, "out")
    same(found, merged(base, adapter))
    assert [(entry.name, entry.role) for entry in record.inputs] == [
        ("adapter", "sub-model"),
        ("base", "under"),
    ]
    assert (tmp_path / "out" / "config.json").exists()


def test_from_a_pickle(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "a", "plain")
    pickled = write_adapter(
        tmp_path / "b", load_file(adapter / "adapter_model.safetensors"), pickled=True, r=11, lora_alpha=16
    )
    found, _ = merge(tmp_path, {**ONE, "base_model": "base", "models": [{"model": "b"}]}, "out")
    same(found, merged(base, pickled))


@pytest.mark.parametrize("kind", ["plain", "dora", "conv1d", "embedding"])
def test_any_run_of_elements_has_the_same_bytes(tmp_path: Path, kind: str) -> None:
    base = open_checkpoint(make_base(tmp_path / "base", conv=kind == "conv1d"))
    model = open_checkpoint(make_adapter(tmp_path / "adapter", kind)).on(base)
    changed = adapted_tensors(model, base.tensors, {}, FactorCache())
    source = next(one.source for name, one in changed.items() if isinstance(one.source, Adapted))
    source = source.in_type(source.under.dtype)

    def reading(stored: Any, first: int, buffer: memoryview) -> None:
        with stored.path.open("rb") as file:
            file.seek(stored.offset + first * stored.dtype.itemsize)
            assert file.readinto(buffer) == len(buffer)

    def filled(first: int, elements: int) -> np.ndarray:
        buffer = bytearray(2 * elements)
        source.fill(reading, first, memoryview(buffer))
        return np.frombuffer(buffer, np.uint16)

    whole = filled(0, source.rows * source.columns)
    random = np.random.default_rng(0)
    for _ in range(30):
        first, end = sorted(int(at) // source.row * source.row for at in random.integers(0, whole.size, 2))
        assert np.array_equal(filled(first, end - first), whole[first:end])


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
@pytest.mark.parametrize("method", [pytest.param("linear", marks=pytest.mark.slow), "parameter_selection"])
def test_a_devices_kernels_have_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Interpreted; what the sources fill on the host is copied to the device."""
    random = torch.Generator().manual_seed(0)
    as_folder(tmp_path / "base", {"w.weight": torch.randn(40, 64, generator=random).bfloat16()}, {})
    for name in ("a", "b"):
        factors = {
            f"{PREFIX}w.lora_A.weight": torch.randn(5, 64, generator=random) * 0.1,
            f"{PREFIX}w.lora_B.weight": torch.randn(40, 5, generator=random) * 0.1,
        }
        write_adapter(tmp_path / name, factors, r=5, lora_alpha=3)
    recipe = {"merge_method": method, "base_model": "base", "models": [{"model": "a"}, {"model": "b"}]}
    recipe["parameters"] = {"weight": 1}
    expected, _ = merge(tmp_path, recipe, "on-host")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(table, "workspace", lambda _: table.device_workspace("cpu"))
    with np.errstate(all="ignore"):  # the interpreter computes with numpy
        found, _ = merge(tmp_path, recipe, "on-device", threads=1)
    same(found, expected)


def test_the_factors_of_all_models_stay_from_one_chunk_to_the_next() -> None:
    """However large they are: each chunk of a tensor needs the right factors of all models, in one order."""
    cache, made = FactorCache(), []

    def make() -> np.ndarray:
        made.append(1)
        return np.empty(12 << 20, np.uint8)

    for _ in range(3):
        cache.expect("w.weight", 12 << 20)
    for _ in range(4):
        for model in range(3):
            cache.get(model, make)
    assert len(made) == 3


def test_special_values(tmp_path: Path) -> None:
    """Infinities, NaN, subnormals and negative zeros in base and factors, against the independent sum."""
    base = read(make_base(tmp_path / "plain"))
    odd = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40, 3e38, -3e38, 1.0])
    weight = "model.layers.0.self_attn.q_proj.weight"
    base[weight].view(-1)[:900] = odd.repeat(100).bfloat16()
    as_folder(tmp_path / "base", base, {"model_type": "llama"})
    name = PREFIX + weight.removesuffix("weight")
    a, b = torch.randn(4, 72), torch.randn(72, 4)
    a[:, :9], b[20:29, 1] = odd, odd
    adapter = write_adapter(
        tmp_path / "adapter", {f"{name}lora_A.weight": a, f"{name}lora_B.weight": b}, r=4, lora_alpha=8
    )
    recipe = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "adapter"}]}
    found, _ = merge(tmp_path, recipe, "out")  # copies bits, the sign of a zero among them
    with np.errstate(all="ignore"):
        expected = merged(tmp_path / "base", adapter)[weight]
    is_nan = expected.isnan()
    assert is_nan.any()
    assert torch.equal(found[weight].isnan(), is_nan)
    assert torch.equal(found[weight].view(torch.int16)[~is_nan], expected.view(torch.int16)[~is_nan])
    assert set(found[weight].view(torch.int16)[is_nan].tolist()) == {0x7FC0}


def test_nan_in_a_factor_is_not_the_bases(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    name = f"{PREFIX}model.layers.0.self_attn.q_proj"
    factors = {
        f"{name}.lora_A.weight": torch.full((4, 72), torch.nan),
        f"{name}.lora_B.weight": torch.ones(72, 4),
    }
    adapter = write_adapter(tmp_path / "adapter", factors, r=4, lora_alpha=8)
    recipe = {**ONE, "base_model": "base", "models": [{"model": "adapter"}], "nonfinite": "error"}
    with pytest.raises(CheckpointError, match="holds NaN") as raised:
        merge(tmp_path, recipe, "out")
    assert str(adapter / "adapter_model.safetensors") in raised.value.message


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("base_model.model.model.", "model."),
        ("base_model.model.", "module.base_model.model."),
        ("layers.0.", "layers.0._checkpoint_wrapped_module."),
        (".weight", ".run_3.weight"),
    ],
)
def test_names_as_other_tools_save_them(tmp_path: Path, part: str, other: str) -> None:
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", "plain")
    given = load_file(adapter / "adapter_model.safetensors")
    assert all(part in name for name in given) or part == "layers.0."
    write_adapter(tmp_path / "b", {n.replace(part, other): t for n, t in given.items()}, r=11, lora_alpha=16)
    plan = plan_merge(parse_recipe({**ONE, "base_model": "base", "models": [{"model": "b"}]}, tmp_path))
    whole = plan_merge(
        parse_recipe({**ONE, "base_model": "base", "models": [{"model": "adapter"}]}, tmp_path)
    )
    assert [entry.reason for entry in plan.ledger if entry.reason] == [
        entry.reason.replace("adapter", "b") for entry in whole.ledger if entry.reason
    ]
    assert sum("rank 11 in b" in entry.reason for entry in plan.ledger) == 4
    assert base.exists()


def test_a_row_of_zeros_under_dora(tmp_path: Path) -> None:
    """It has no direction: NaN, as peft has it, and no refusal."""
    make_adapter(tmp_path / "adapter", "dora")
    tensors = read(make_base(tmp_path / "plain"))
    weight = "model.layers.0.self_attn.q_proj.weight"
    tensors[weight][3] = 0
    base = as_folder(tmp_path / "base", tensors, {"model_type": "llama"})
    given = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    given[f"{PREFIX}{weight.removesuffix('weight')}lora_B.weight"][3] = 0
    adapter = write_adapter(tmp_path / "zeros", given, r=11, lora_alpha=16, use_dora=True)
    found, _ = merge(tmp_path, {**ONE, "base_model": "base", "models": [{"model": "zeros"}]}, "out")
    with np.errstate(all="ignore"):
        expected = merged(base, adapter)
    assert found[weight][3].isnan().all()
    assert torch.equal(found[weight][4:], expected[weight][4:])


def test_what_it_does_not_touch_is_the_bases(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    make_adapter(tmp_path / "adapter", "plain")
    recipe = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "adapter"}]}
    _, record = merge(tmp_path, recipe, "out")
    zero = {tensor.name: tensor.zero_delta == (tensor.elements,) for tensor in record.tensors}
    touched = {f"{name}.weight" for name in modules(False) if "up_proj" not in name}
    assert {name for name, is_zero in zero.items() if not is_zero} == touched


@pytest.mark.parametrize(
    ("kind", "fans", "turned"),
    [
        ("gpt2", False, True),
        ("llama", True, False),  # peft's own check of each module goes before what the adapter says
        ("of_its_own", True, True),
        ("of_its_own", False, False),
    ],
)
def test_which_way_a_square_weight_is_stored(tmp_path: Path, kind: str, fans: bool, turned: bool) -> None:
    """The type of the model says it, even of a head beside it that is no Conv1D; else the adapter does."""
    weight, head = "h.0.attn.c_proj", "lm_head"
    random = torch.Generator().manual_seed(0)
    tensors = {f"{name}.weight": torch.randn(24, 24, generator=random).bfloat16() for name in (weight, head)}
    as_folder(tmp_path / "base", tensors, {"model_type": kind, "tie_word_embeddings": False})
    named = (weight, head) if kind == "gpt2" else (weight,)
    given = {
        f"{PREFIX}{name}.lora_{part}.weight": torch.randn(24, 24, generator=random)
        for name in named
        for part in "AB"
    }
    adapter = write_adapter(tmp_path / "adapter", given, r=24, lora_alpha=1, fan_in_fan_out=fans)
    for name in named:
        one = {key: factor for key, factor in given.items() if name in key}
        write_adapter(tmp_path / name, one, r=24, lora_alpha=1, fan_in_fan_out=turned and name == weight)
    found, _ = merge(tmp_path, {**ONE, "base_model": "base", "models": [{"model": adapter.name}]}, "out")
    for name in named:
        expected = merged(tmp_path / "base", tmp_path / name)[f"{name}.weight"]
        assert torch.equal(found[f"{name}.weight"], expected)


def test_inputs_and_outputs_that_change_places_do_not_fit(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    name = f"{PREFIX}model.layers.0.mlp.up_proj"
    given = {f"{name}.lora_A.weight": torch.ones(4, 200), f"{name}.lora_B.weight": torch.ones(72, 4)}
    write_adapter(tmp_path / "adapter", given, r=4, lora_alpha=4)
    with pytest.raises(IncompatibleError, match=r"72 outputs and 200 inputs.*has the shape 200×72"):
        plan_merge(parse_recipe({**ONE, "models": [{"model": "base+adapter"}]}, tmp_path))


class TestRefused:
    """By name, with what to do."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        make_base(tmp_path / "base")
        make_adapter(tmp_path / "adapter", "plain")
        return tmp_path

    def refused(self, folder: Path, **config: Any) -> MergeError:
        path = folder / "adapter" / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
        recipe = {**ONE, "base_model": "base", "models": [{"model": "adapter"}]}
        with pytest.raises((CheckpointError, IncompatibleError)) as raised:
            plan_merge(parse_recipe(recipe, folder))
        assert str(folder / "adapter") in raised.value.message
        assert raised.value.hint
        assert (raised.value.field, raised.value.entry) == ("models", 0)
        return raised.value

    @pytest.mark.parametrize(
        ("config", "said", "hint"),
        [
            ({"peft_type": "LOHA"}, "an adapter of the kind 'LOHA'", "merge_and_unload"),
            ({"peft_type": None}, "of a kind that it does not say", "merge_and_unload"),
            ({"peft_type": "PROMPT_TUNING"}, "PROMPT_TUNING", "leave it out"),
            ({"target_parameters": ["experts.gate"]}, "target_parameters", "merge_and_unload"),
            ({"layer_replication": [[0, 2]]}, "layer_replication", "merge_and_unload"),
            ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4", "path_initial_model_for_weight"),
            ({"r": 12}, "says rank 12", "saved with them"),
            ({"r": 0}, "r is 0", "again"),
            ({"lora_alpha": "many"}, "lora_alpha is 'many'", "again"),
            ({"lora_alpha": 1e999}, "lora_alpha is inf", "again"),
            ({"rank_pattern": {"(a+)+b": 3}}, "'(a+)+b'", "write the modules' names"),
            ({"alpha_pattern": {"(": 3}}, "'('", "write the modules' names"),
            ({"alpha_pattern": [3]}, "alpha_pattern is [3]", "again"),
            ({"use_rslora": "true"}, "use_rslora is 'true'", "again"),
            ({"bias": "weird"}, "bias is 'weird'", "again"),
            ({"modules_to_save": 3}, "modules_to_save is 3", "again"),
            ({"target_modules": [3]}, "target_modules is [3]", "again"),
        ],
    )
    def test_what_its_config_says(self, folder: Path, config: dict[str, Any], said: str, hint: str) -> None:
        error = self.refused(folder, **config)
        assert said in error.message
        assert hint in str(error.hint)

    def test_factors_without_a_config(self, folder: Path) -> None:
        (folder / "adapter" / "adapter_config.json").rename(folder / "kept.json")
        recipe = {**ONE, "base_model": "base", "models": [{"model": "adapter"}]}
        with pytest.raises(CheckpointError, match=r"no adapter_config\.json") as raised:
            plan_merge(parse_recipe(recipe, folder))
        assert "copy adapter_config.json" in str(raised.value.hint)

    @pytest.mark.parametrize(
        ("tensors", "said"),
        [
            ({"x.q_proj.lora_A.weight": (4, 72), "x.q_proj.lora_B.weight": (72, 4)}, "no weight"),
            ({"lm_head.lora_A.weight": (4, 70), "lm_head.lora_B.weight": (48, 4)}, "70 inputs"),
            ({"lm_head.lora_A.weight": (4, 72)}, "only a part"),
            ({"lm_head.lora_A.weight": (4, 72, 1), "lm_head.lora_B.weight": (48, 4)}, "no linear layer"),
            ({"lm_head.hada_w1_a": (4, 72)}, "no part of a LoRA"),
            ({"lm_head.lora_A.weight": (0,), "lm_head.lora_B.weight": (0,)}, "holds no elements"),
            ({"lm_head.token_adapter.trainable_tokens_delta": (4, 72)}, "no part of a LoRA"),
            (
                {f"lm_head.lora_{part}.{name}.weight": (4, 4) for part in "AB" for name in ("one", "two")},
                "the same part twice",
            ),
            (
                {
                    "lm_head.lora_embedding_A": (4, 48),
                    "lm_head.lora_embedding_B": (72, 4),
                    MAGNITUDE: (72,),
                },
                "DoRA on the embedding",
            ),
            (
                {"lm_head.lora_A.weight": (4, 72), "lm_head.lora_B.weight": (48, 4), MAGNITUDE: (3,)},
                "lora_magnitude_vector of the shape 3 for it",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_in_it(self, folder: Path, tensors: dict[str, tuple[int, ...]], said: str) -> None:
        (folder / "adapter").rename(folder / "old")
        given = {PREFIX + name: torch.ones(shape) for name, shape in tensors.items()}
        use_dora = any("magnitude" in name for name in tensors)
        write_adapter(folder / "adapter", given, r=4, lora_alpha=4, use_dora=use_dora)
        assert said in self.refused(folder).message

    @pytest.mark.parametrize(("kind", "says"), [("plain", True), ("dora", False)])
    def test_lengths_and_use_dora_do_not_agree(self, folder: Path, kind: str, says: bool) -> None:
        """peft would take the base's own lengths, or leave those of the adapter out."""
        (folder / "adapter").rename(folder / "old")
        make_adapter(folder / "adapter", kind)
        assert "use_dora" in self.refused(folder, use_dora=says).message

    def test_a_base_that_is_not_here(self, folder: Path) -> None:
        (folder / "base").rename(folder / "elsewhere")
        with pytest.raises(CheckpointError, match=r"trained on '\.\./base', which is not here") as raised:
            plan_merge(parse_recipe({**ONE, "models": [{"model": "adapter"}]}, folder))
        assert "base_model" in str(raised.value.hint)

    def test_a_stack_with_dora(self, folder: Path) -> None:
        make_adapter(folder / "dora", "dora")
        with pytest.raises(IncompatibleError, match="stacked with another adapter") as raised:
            plan_merge(parse_recipe({**ONE, "models": [{"model": "base+adapter+dora"}]}, folder))
        assert "a sub-model of its own" in str(raised.value.hint)

    def test_a_whole_model_in_a_stack(self, folder: Path) -> None:
        with pytest.raises(CheckpointError, match="is a whole model, and stands after a plus sign"):
            plan_merge(parse_recipe({**ONE, "models": [{"model": "base+base"}]}, folder))
