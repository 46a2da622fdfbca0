"""What is said of adapters: in the plan, the record and the card, and by a merge that goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import (
    PREFIX,
    TOKENS,
    WIDTH,
    as_folder,
    make_adapter,
    make_base,
    merged,
    read,
    write_adapter,
)
from safetensors.torch import load_file, save_file
from small_merges import OneByOne

from core import Cancelled, CancelToken, parse_recipe, plan_merge, read_record, run_merge
from core.cli.output import plan_document, plan_summary
from core.deltas.inspection import inspect_models
from core.devices import CPU
from core.errors import IncompatibleError, OutputError
from core.plan.choice import choose
from core.plan.chunking import peak_memory_bytes
from core.plan.work import work_of

ADAPTERS = {
    "merge_method": "parameter_selection",
    "base_model": "base",
    "models": [{"model": "a"}, {"model": "base+b+c"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_base(tmp_path / "base")
    for seed, (name, kind) in enumerate((("a", "patterns"), ("b", "plain"), ("c", "rslora on everything"))):
        make_adapter(tmp_path / name, kind, seed=seed)
    return tmp_path


def test_in_the_plan(folder: Path) -> None:
    plan = plan_merge(parse_recipe(ADAPTERS, folder))
    text = plan_summary(plan, choose(plan), 10**9)
    assert "a (adapter on base, rank 3 to 20), base+b+c (2 adapters on base, rank 11)" in text
    document = plan_document(plan, choose(plan), 10**9)
    assert [model.get("adapter") for model in document["models"]] == [
        "adapter on base, rank 3 to 20",
        "2 adapters on base, rank 11",
        None,
    ]
    reasons = {row["name"]: row["reason"] for row in document["ledger"]}
    assert reasons["model.layers.0.self_attn.q_proj.weight"] == "rank 3 in a; rank 11 and rank 11 in base+b+c"
    assert reasons["lm_head.weight"] == "rank 11 in base+b+c"
    assert reasons["norm.weight"] == ""
    assert plan.warnings == ("base has no tokenizer, so the result has none either",)


def test_a_quantised_base_is_told_of_once_and_its_files_are_read(tmp_path: Path) -> None:
    """What is quantised is the base, also where a file in its folder alone says so."""
    base = make_base(tmp_path / "base")
    tensors = read(base)
    name = "model.layers.0.self_attn.q_proj"
    tensors[f"{name}.weight"] = (tensors[f"{name}.weight"].float() * 1000).to(torch.float8_e4m3fn)
    tensors |= {f"{name}.weight_scale": torch.tensor(0.001), f"{name}.input_scale": torch.tensor(0.5)}
    save_file(tensors, base / "model.safetensors")
    said = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}
    (base / "hf_quant_config.json").write_text(json.dumps(said))
    for seed, adapter in enumerate("ab"):
        make_adapter(tmp_path / adapter, "plain", seed=seed)
    data = {"merge_method": "linear", "base_model": "base", "models": [{"model": "a"}, {"model": "base+b"}]}
    plan = plan_merge(parse_recipe(data, tmp_path))
    told = [sentence for sentence in plan.warnings if "FP8" in sentence]
    assert len(told) == 1
    assert told[0].startswith("base is stored in FP8 with tensor scales (1 tensors)")
    assert not any(tensor.output.name.endswith("_scale") for tensor in plan.tensors)


def test_in_the_record_and_the_card(folder: Path) -> None:
    run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out")
    record = read_record(folder / "out")
    assert [(entry.name, entry.role, entry.adapter) for entry in record.inputs] == [
        ("base", "base", ""),
        ("a", "sub-model", "adapter on base, rank 3 to 20"),
        ("base+b+c", "sub-model", "2 adapters on base, rank 11"),
    ]
    assert [len(entry.files) for entry in record.inputs] == [1, 1, 2]
    assert [len(entry.configs) for entry in record.inputs] == [0, 1, 2]
    card = (folder / "out" / "README.md").read_text()
    assert "- `a`, adapter on base, rank 3 to 20" in card
    assert "model: base+b+c" in card
    assert str(folder) not in card + (folder / "out" / "paramosaic.json").read_text()


def test_what_it_costs_is_known(folder: Path) -> None:
    """The terms of the sums take time, and the factors memory."""
    whole = {**ADAPTERS, "models": [{"model": "w1"}, {"model": "w2"}]}
    for name in ("w1", "w2"):
        as_folder(folder / name, merged(folder / "base", folder / "b"), {"model_type": "llama"})
    plans = [plan_merge(parse_recipe(recipe, folder)) for recipe in (ADAPTERS, whole)]
    assert work_of(plans[0]).thread_s > work_of(plans[1]).thread_s
    assert peak_memory_bytes(plans[0], [CPU], 1) > peak_memory_bytes(plans[1], [CPU], 1)
    assert plans[0].bytes_to_read > plans[1].bytes_to_read


def cut_off(folder: Path, recipe: dict[str, Any]) -> None:
    token = CancelToken()

    def before(number: int, _: object) -> None:
        if number == 4:
            token.cancel()

    with pytest.raises(Cancelled):
        run_merge(
            plan_merge(parse_recipe(recipe, folder)),
            folder / "out",
            executor=OneByOne(before),
            cancel=token,
            keep=True,
        )


def test_a_merge_of_adapters_goes_on(folder: Path) -> None:
    run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "whole")
    cut_off(folder, ADAPTERS)
    run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out", resume=True)
    expected, found = read_record(folder / "whole"), read_record(folder / "out")
    assert [tensor.digest for tensor in found.tensors] == [tensor.digest for tensor in expected.tensors]


def test_one_with_another_scale_is_another_merge(folder: Path) -> None:
    """adapter_config.json is no part of the weights, and makes their bytes all the same."""
    cut_off(folder, ADAPTERS)
    path = folder / "b" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 99}))
    with pytest.raises(OutputError, match="begun by"):
        run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out", resume=True)


def test_a_finished_merge_with_another_scale_is_not_taken_for_this_one(folder: Path) -> None:
    first = run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out")
    again = run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out", resume=True)
    assert again.run_id == first.run_id
    path = folder / "b" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lora_alpha": 99}))
    with pytest.raises(OutputError):
        run_merge(plan_merge(parse_recipe(ADAPTERS, folder)), folder / "out", resume=True)


def test_inspecting_adapters(folder: Path) -> None:
    found = inspect_models(folder / "base", [folder / "a", folder / "b"], details=True)
    by_name = {tensor.name: tensor for tensor in found.tensors}
    untouched = by_name["lm_head.weight"]
    assert untouched.zero_delta == (untouched.elements,) * 2
    base, one = read(folder / "base"), merged(folder / "base", folder / "a")
    name = "model.layers.0.mlp.up_proj.weight"
    assert by_name[name].zero_delta[0] == int((one[name] == base[name]).sum())


@pytest.mark.parametrize("own", [False, True])
def test_the_tokenizer_is_the_bases_or_its_own(folder: Path, own: bool) -> None:
    (folder / "base" / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    (folder / "base" / "chat_template.jinja").write_text("base")
    if own:
        (folder / "a" / "tokenizer.json").write_text('{"model": {"vocab": {"b": 0}}}')
        (folder / "a" / "tokenizer_config.json").write_text("{}")
    recipe = {**ADAPTERS, "models": [{"model": "a"}]}
    plan = plan_merge(parse_recipe(recipe, folder))
    assert own or not any("chat template" in warning for warning in plan.warnings)
    run_merge(plan, folder / "out")
    expected = "a" if own else "base"
    found = (folder / "out" / "tokenizer.json").read_text()
    assert found == (folder / expected / "tokenizer.json").read_text()
    assert json.loads((folder / "out" / "config.json").read_text())["model_type"] == "llama"
    assert not (folder / "out" / "adapter_config.json").exists()


@pytest.mark.parametrize("kind", ["plain", "bias", "bias of B", "embedding"])
def test_a_base_without_the_prefix(tmp_path: Path, kind: str) -> None:
    """A model that was saved without its head: its names lack what the adapter's have before them."""
    whole = make_base(tmp_path / "whole")
    tensors = read(whole)
    make_adapter(tmp_path / "adapter", kind)
    del tensors["lm_head.weight"]
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    as_folder(tmp_path / "base", bare, {"model_type": "llama"})
    recipe = {
        "merge_method": "linear",
        "base_model": "base",
        "models": [{"model": "adapter"}],
        "parameters": {"weight": 1},
    }
    run_merge(plan_merge(parse_recipe(recipe, tmp_path)), tmp_path / "out")
    expected = merged(whole, tmp_path / "adapter")
    for name, tensor in read(tmp_path / "out").items():
        full = name if name == "norm.weight" else f"model.{name}"
        assert (tensor == expected[full]).all(), name


class TestTied:
    """A base whose head is its embedding."""

    def base(self, folder: Path, *, stored: bool) -> Path:
        tensors = read(make_base(folder / "untied"))
        if stored:
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        else:
            del tensors["lm_head.weight"]
        config = {"model_type": "llama", "tie_word_embeddings": True, "architectures": ["LlamaForCausalLM"]}
        return as_folder(folder / "base", tensors, config)

    def merge(self, folder: Path, method: str = "parameter_selection") -> dict[str, Any]:
        recipe = {"merge_method": method, "base_model": "base", "models": [{"model": "adapter"}]}
        run_merge(plan_merge(parse_recipe(recipe, folder)), folder / "out")
        return read(folder / "out")

    @pytest.mark.parametrize("stored", [False, True])
    def test_an_adapter_of_the_embedding_is_one_of_the_head(self, tmp_path: Path, stored: bool) -> None:
        base = self.base(tmp_path, stored=stored)
        make_adapter(tmp_path / "adapter", "embedding")
        found, expected = self.merge(tmp_path), merged(base, tmp_path / "adapter")
        name = "model.embed_tokens.weight"
        assert not torch.equal(expected[name], read(base)[name])
        assert torch.equal(found[name], expected[name])
        assert ("lm_head.weight" in found) == stored
        if stored:
            assert torch.equal(found["lm_head.weight"], expected[name])
        assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is True

    def test_an_adapter_with_a_head_of_its_own_unties(self, tmp_path: Path) -> None:
        base = self.base(tmp_path, stored=False)
        make_adapter(tmp_path / "adapter", "modules_to_save")
        expected = merged(
            as_folder(tmp_path / "b", read(base) | {"lm_head.weight": torch.zeros(1).bfloat16()}, {}),
            tmp_path / "adapter",
        )
        found = self.merge(tmp_path)
        assert torch.equal(found["lm_head.weight"], expected["lm_head.weight"])
        assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False

    def own_embedding(self, folder: Path, rows: int = TOKENS, **config: Any) -> Path:
        random = torch.Generator().manual_seed(7)
        given = {f"{PREFIX}model.embed_tokens.weight": torch.randn(rows, WIDTH, generator=random)}
        return write_adapter(folder / "adapter", given, r=4, lora_alpha=4, **config)

    @pytest.mark.parametrize("stored", [False, True])
    def test_a_saved_embedding_leaves_the_head_as_it_was(self, tmp_path: Path, stored: bool) -> None:
        """peft puts a module of its own in the embedding's place; the head goes on with the old weights."""
        base = self.base(tmp_path, stored=stored)
        adapter = self.own_embedding(tmp_path, modules_to_save=["embed_tokens"])
        found, name = self.merge(tmp_path), "model.embed_tokens.weight"
        assert torch.equal(found[name], merged(base, adapter)[name])
        assert torch.equal(found["lm_head.weight"], read(base)[name])
        assert not torch.equal(found[name], read(base)[name])
        assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False

    @pytest.mark.parametrize("saved", [["embed_tokens"], ["lm_head"], ["lm_head", "embed_tokens"]], ids=len)
    def test_an_untied_one_is_what_its_folder_is(self, tmp_path: Path, saved: list[str]) -> None:
        """The same draws, and the same counts where it is only looked at."""
        base = self.base(tmp_path, stored=False)
        make_adapter(tmp_path / "a", "modules_to_save")
        given = load_file(tmp_path / "a" / "adapter_model.safetensors")
        given = {
            name: one for name, one in given.items() if ".lora_" in name or any(s in name for s in saved)
        }
        adapter = write_adapter(tmp_path / "adapter", given, r=11, lora_alpha=16, modules_to_save=saved)
        make_adapter(tmp_path / "b", "plain", seed=3)
        config = json.loads((base / "config.json").read_text())
        embedding = read(base)["model.embed_tokens.weight"]
        with_head = as_folder(tmp_path / "with-head", read(base) | {"lm_head.weight": embedding}, {})
        untied = {**config, "tie_word_embeddings": False}
        as_folder(tmp_path / "whole", merged(with_head, adapter), untied)
        as_folder(tmp_path / "whole-b", merged(base, tmp_path / "b"), config)

        def digests(*models: str) -> dict[str, tuple[Any, ...]]:
            recipe = {**ADAPTERS, "models": [{"model": model} for model in models], "seed": 5}
            record = run_merge(plan_merge(parse_recipe(recipe, tmp_path)), tmp_path / f"out-{models[0]}")
            return {one.name: (one.digest, one.zero_delta, one.selected) for one in record.tensors}

        expected = digests("whole", "whole-b")
        assert "lm_head.weight" in expected
        assert digests("adapter", "b") == expected
        of_folder, of_adapter = (
            {one.name: one.zero_delta for one in inspect_models(base, [tmp_path / name]).tensors}
            for name in ("whole", "adapter")
        )
        assert of_adapter == of_folder

    def test_untied_without_a_base(self, tmp_path: Path) -> None:
        """The config that is written is that of the model under the adapter, which ties them."""
        self.base(tmp_path, stored=False)
        make_adapter(tmp_path / "adapter", "modules_to_save")
        recipe = {"merge_method": "passthrough", "models": [{"model": "base+adapter"}]}
        run_merge(plan_merge(parse_recipe(recipe, tmp_path)), tmp_path / "out")
        found = read(tmp_path / "out")
        assert not torch.equal(found["lm_head.weight"], found["model.embed_tokens.weight"])
        assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False

    def test_an_embedding_that_is_no_module_of_its_own_is_the_heads_too(self, tmp_path: Path) -> None:
        """As peft saves that under a LoRA of the embedding: it is loaded into the weight that both have."""
        base = self.base(tmp_path, stored=False)
        adapter = self.own_embedding(tmp_path)
        found, name = self.merge(tmp_path), "model.embed_tokens.weight"
        assert torch.equal(found[name], merged(base, adapter)[name])
        assert "lm_head.weight" not in found

    @pytest.mark.parametrize(
        ("kind", "rows"), [("llama", TOKENS + 2), ("t5", TOKENS), ("unheard_of", TOKENS)]
    )
    def test_a_head_that_is_not_known_is_no_guess(self, tmp_path: Path, kind: str, rows: int) -> None:
        """One of another number of rows, several of them, or one of an unknown name."""
        base = self.base(tmp_path, stored=False)
        config = {**json.loads((base / "config.json").read_text()), "model_type": kind}
        tensors = read(base)
        embedding = "shared.weight" if kind == "t5" else "model.embed_tokens.weight"
        tensors[embedding] = tensors.pop("model.embed_tokens.weight")
        as_folder(tmp_path / "other", tensors, config)
        adapter = self.own_embedding(tmp_path, rows, modules_to_save=["embed_tokens", "shared"])
        given = load_file(adapter / "adapter_model.safetensors")
        save_file({PREFIX + embedding: next(iter(given.values()))}, adapter / "adapter_model.safetensors")
        with pytest.raises(IncompatibleError, match="keeps what it was tied to") as raised:
            plan_merge(
                parse_recipe(
                    {"merge_method": "linear", "base_model": "other", "models": [{"model": "adapter"}]},
                    tmp_path,
                )
            )
        assert "merge_and_unload" in str(raised.value.hint)

    def test_an_adapter_on_the_head_is_refused(self, tmp_path: Path) -> None:
        self.base(tmp_path, stored=False)
        make_adapter(tmp_path / "adapter", "rslora on everything")
        with pytest.raises(IncompatibleError, match="ties to its embedding") as raised:
            self.merge(tmp_path)
        assert "merge_and_unload" in str(raised.value.hint)


def test_the_same_adapter_twice_is_said_and_that_on_another_model_is_not(folder: Path) -> None:
    make_base(folder / "tuned", seed=5)
    make_adapter(folder / "d", "patterns", seed=9)

    def said(*models: str) -> bool:
        recipe = {**ADAPTERS, "models": [{"model": model} for model in models]}
        plan = plan_merge(parse_recipe(recipe, folder))
        return any("one model, given 2 times" in warning for warning in plan.warnings)

    assert said("a", "base+a")
    assert not said("a", "tuned+a")
    assert not said("a", "d")


def test_what_no_adapter_touches_is_no_warning(folder: Path) -> None:
    """Adapters go on few modules: that the others are the base's is how they are."""
    recipe = {"merge_method": "parameter_selection", "base_model": "base", "models": [{"model": "b"}]}
    record = run_merge(plan_merge(parse_recipe(recipe, folder)), folder / "untouched", device="cpu")
    unchanged = [one for one in record.tensors if one.changed_by and one.changed_by[0] == one.elements]
    assert len(unchanged) > len(record.tensors) / 3
    assert not any("are the base's" in warning for warning in record.warnings)
