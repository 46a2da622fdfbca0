"""Models in memory: from folders, adapters and recipes, and every sentence about those that cannot be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.cancel import CancelToken
from core.data.rows import DataSet, Row
from core.errors import Cancelled, CheckpointError, DeviceError, MergeError, OutputError
from core.evaluate.losses.scoring import score_model
from core.evaluate.models import references, room
from core.evaluate.models.loading import load_model
from core.evaluate.models.references import model_folder
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import default_score_folder
from core.progress import Share

DEMO = Path(__file__).parents[4] / "resources" / "demo"
CPU = Settings(device="cpu")
DATA = DataSet(Path("data.jsonl"), "text", (Row(1, text="The moon was up, and he said nothing."),), "d")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A model that a test may change."""
    return Path(shutil.copytree(DEMO / "order-1", tmp_path / "copy"))


def changed(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def loss_of(reference: str | Path, settings: Settings = CPU) -> float:
    with load_model(reference, settings=settings) as model:
        return score_model(model, DATA, settings).mean_loss


def test_a_merge_is_made_beside_the_scores_and_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path / "data"))
    with model_folder(DEMO / "recipe.yaml") as found:
        assert found.folder.is_relative_to(default_score_folder().parent)
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot make a temporary folder") as caught,
        model_folder(DEMO / "recipe.yaml", work_folder=tmp_path / "file"),
    ):
        pass
    assert "--work-folder" in (caught.value.hint or "")


def test_a_recipe_is_merged_for_the_time_being(tmp_path: Path) -> None:
    from core import load_recipe, plan_merge, run_merge

    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"merge_method: linear\nmodels:\n- model: {DEMO / 'order-1'}\n- model: {DEMO / 'order-2'}\n"
    )
    run_merge(plan_merge(load_recipe(recipe)), tmp_path / "merged")
    work = tmp_path / "work"
    shares: list[Share] = []
    settings = Settings(device="cpu", work_folder=work)
    with load_model(recipe, settings=settings, progress=shares.append) as model:
        assert (model.name, model.reference) == ("mine", str(recipe))
        assert work in model.folder.parents
        assert (model.folder / "model.safetensors").read_bytes() == (
            tmp_path / "merged" / "model.safetensors"
        ).read_bytes()
        loss = score_model(model, DATA, settings).mean_loss
    assert list(work.iterdir()) == []
    assert loss == loss_of(tmp_path / "merged")
    assert loss != loss_of(DEMO / "order-1")
    assert list(dict.fromkeys(share.text for share in shares)) == ["mine: merging a recipe", "mine: loading"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_a_temporary_merge_is_removed_whatever_happens(tmp_path: Path, failure: type[BaseException]) -> None:
    def fails(folder: Path) -> None:
        assert folder.is_dir()
        raise failure

    with pytest.raises(failure), model_folder(DEMO / "recipe.yaml", work_folder=tmp_path) as found:
        fails(found.folder)
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_merge_leaves_nothing(tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with (
        pytest.raises(Cancelled),
        model_folder(DEMO / "recipe.yaml", work_folder=tmp_path, cancel=cancel),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with model_folder(DEMO / "recipe.yaml", work_folder=tmp_path) as found:
        living = found.folder.parent
        left = living.with_name(living.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
        of_another_machine = tmp_path / f"paramosaic-evaluate-00000000-{dead.pid}-x"
        others = tmp_path / "paramosaic-evaluate-mine"
        for folder in (left, of_another_machine, others):
            (folder / "model").mkdir(parents=True)
        with model_folder(DEMO / "recipe.yaml", work_folder=tmp_path) as again:
            assert set(tmp_path.iterdir()) == {living, of_another_machine, others, again.folder.parent}
    assert set(tmp_path.iterdir()) == {of_another_machine, others}


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, signal, sys\n"
            "from core.evaluate.models.references import model_folder\n"
            "with model_folder(sys.argv[1], work_folder=sys.argv[2]) as found:\n"
            "    os.kill(os.getpid(), signal.SIGKILL)",
            str(DEMO / "recipe.yaml"),
            str(tmp_path),
        ],
        cwd=Path(references.__file__).parents[3],
        check=False,
    )
    assert child.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    others = tmp_path / "paramosaic-evaluate-mine"
    others.mkdir()
    with model_folder(DEMO / "recipe.yaml", work_folder=tmp_path):
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [others]


@pytest.mark.slow
def test_an_adapter_on_a_base_is_what_its_factors_make(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    name = "model.layers.3.mlp.up_proj"
    base = load_file(DEMO / "base" / "model.safetensors")
    torch.manual_seed(0)
    rows, columns = base[f"{name}.weight"].shape
    a, b = torch.randn(2, columns), torch.randn(rows, 2)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    factors = {f"base_model.model.{name}.lora_A.weight": a, f"base_model.model.{name}.lora_B.weight": b}
    save_file(factors, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["up_proj"]})
    )
    base[f"{name}.weight"] = (base[f"{name}.weight"].float() + b @ a).bfloat16()
    whole = Path(shutil.copytree(DEMO / "base", tmp_path / "whole"))
    save_file(base, whole / "model.safetensors", metadata={"format": "pt"})
    loss = loss_of(f"{DEMO / 'base'}+{adapter}")
    assert loss == pytest.approx(loss_of(whole), abs=1e-3)  # of elements rounded another way
    assert abs(loss - loss_of(DEMO / "base")) > 0.01


def test_nothing_of_transformers_is_heard_and_its_voice_comes_back(
    capfd: pytest.CaptureFixture[str], copy: Path
) -> None:
    import transformers

    changed(copy, "config.json", rope_scaling={"type": "nonsense", "rope_type": "default"}, unknown_key=1)
    before = transformers.logging.get_verbosity()
    transformers.logging.enable_progress_bar()
    loss_of(copy)
    assert capfd.readouterr() == ("", "")
    assert transformers.logging.get_verbosity() == before
    assert transformers.logging.is_progress_bar_enabled()


def test_a_model_leaves_memory(copy: Path) -> None:
    import weakref

    with load_model(copy, settings=CPU) as model:
        gone = weakref.ref(model.model)
        assert gone() is not None
    assert gone() is None


# -- models that are none ------------------------------------------------------------------------------------


def _no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _tokenizer_of_another(folder: Path) -> None:
    path = folder / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["model"]["vocab"] |= {f"more{number}": 1024 + number for number in range(9)}
    path.write_text(json.dumps(whole))


def _lacks_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.5.self_attn.q_proj.weight"], tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _other_shapes(folder: Path) -> None:
    changed(folder, "config.json", intermediate_size=96)


def _cut_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])


NO_MODELS = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json", "config.json"),
    "encoder-decoder": (
        lambda folder: changed(
            folder,
            "config.json",
            model_type="t5",
            architectures=["T5ForConditionalGeneration"],
            is_encoder_decoder=True,
        ),
        "is an encoder–decoder model (T5ForConditionalGeneration)",
        "LlamaForCausalLM",
    ),
    "no head": (
        lambda folder: changed(folder, "config.json", architectures=["LlamaModel"]),
        "is a model of the kind LlamaModel",
        "LlamaForCausalLM",
    ),
    "regression": (
        lambda folder: changed(
            folder,
            "config.json",
            architectures=["LlamaForSequenceClassification"],
            problem_type="regression",
        ),
        "is a classifier whose answer is not one class (regression)",
        "BertForSequenceClassification",
    ),
    "unknown kind": (
        lambda folder: changed(folder, "config.json", model_type="llama9"),
        "cannot be loaded by transformers",
        "newer transformers",
    ),
    "code": (
        lambda folder: changed(folder, "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"}),
        "needs Python code of its own folder, which is not run",
        "without it",
    ),
    "no tokenizer": (_no_tokenizer, "has no tokenizer that transformers can load", "tokenizer's files"),
    "another tokenizer": (
        _tokenizer_of_another,
        "its tokenizer has tokens up to number 1032 and its embedding 1024 rows",
        "tokenizer's files",
    ),
    "lacks a tensor": (
        _lacks_a_tensor,
        "lacks model.layers.5.self_attn.q_proj.weight and 1 more tensors, which would be made up at random",
        "as it was saved",
    ),
    "other shapes": (_other_shapes, "cannot be loaded by transformers", "newer transformers"),
    "cut file": (_cut_file, "model.safetensors", ""),
}


@pytest.mark.parametrize("case", NO_MODELS)
def test_what_cannot_be_evaluated_is_said_in_one_sentence(copy: Path, case: str) -> None:
    change, said, hint = NO_MODELS[case]
    change(copy)
    with pytest.raises(CheckpointError) as caught, load_model(copy, settings=CPU):
        pass
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("reference", ["/none/such", "no-model", "a\0b", ""])
def test_a_model_that_is_not_there(reference: str) -> None:
    with pytest.raises(MergeError), load_model(reference, settings=CPU):
        pass


def test_a_device_that_is_not_there() -> None:
    for device in ("cuda:99", "gpu", "cpu,cuda"):
        with pytest.raises(DeviceError), load_model(DEMO / "base", settings=Settings(device=device)):
            pass


def test_a_token_beyond_the_embedding_is_named_when_it_is_used(copy: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(copy))
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(str(copy))
    with load_model(copy, settings=CPU) as model:
        assert score_model(model, DATA, CPU).mean_loss > 0
        data = DataSet(Path("d"), "text", (Row(7, text="a <more> b"),), "d")
        with pytest.raises(CheckpointError, match=r"makes token 1024 \('<more>'\) of line 7"):
            score_model(model, data, CPU)


def test_a_length_beyond_the_models_positions_is_refused() -> None:
    with (
        pytest.raises(CheckpointError, match="takes 256 tokens at once, not 300") as caught,
        load_model(DEMO / "base", settings=Settings(device="cpu", max_length=300)),
    ):
        pass
    assert "256" in (caught.value.hint or "")


# -- memory --------------------------------------------------------------------------------------------------


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(room, "_BESIDE_BYTES", 100_000)
    return lambda count: monkeypatch.setattr(room.memory, "available_bytes", lambda: count)


def test_weights_are_widened_layer_by_layer_only_where_room_lacks(free: Any) -> None:
    losses = []
    for bytes_free, by_layers in ((None, False), (3_000_000, False), (1_500_000, True)):
        free(bytes_free)
        with load_model(DEMO / "order-1", settings=CPU) as model:
            assert model.widening.is_on == by_layers
            assert bool(model.notes) == by_layers
            losses.append(score_model(model, DATA, CPU).mean_loss)
    assert losses[0] == losses[1] == losses[2]


def test_a_model_that_does_not_fit_is_said(free: Any) -> None:
    free(500_000)
    with (
        pytest.raises(MergeError, match=r"memory for order-1 on cpu: it takes 8.*, and 500 kB are free"),
        load_model(DEMO / "order-1", settings=CPU),
    ):
        pass
