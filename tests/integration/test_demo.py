"""The demo models, end to end: real fine-tunes, merged by the command, loaded by transformers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from core import inspect_models, load_recipe, read_record, verify_output
from core.cli.commands import main
from core.run.record import RunRecord
from gui.entry import desktop
from resources import DEMO_FOLDER


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo recipe merged by the command."""
    out = tmp_path_factory.mktemp("demo") / "merged"
    assert main(desktop(), ["merge", str(DEMO_FOLDER / "recipe.yaml"), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def record(merged: Path) -> RunRecord:
    return read_record(merged)


def test_the_demo_is_small_and_speaks_only_of_itself() -> None:
    files = [path for path in DEMO_FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 8_000_000
    for path in files:
        if path.suffix == ".json":
            assert str(DEMO_FOLDER) not in path.read_text()


def test_the_result_loads_and_generates(merged: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(merged)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    prompt = tokenizer("The following", return_tensors="pt")
    with torch.no_grad():
        tokens = model.generate(**prompt, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    assert tokens.shape[1] == prompt["input_ids"].shape[1] + 8
    assert tokenizer.decode(tokens[0], skip_special_tokens=True).startswith("The following")


def test_the_result_verifies(merged: Path, record: RunRecord) -> None:
    assert verify_output(merged).tensors == len(record.tensors)


def test_a_large_part_of_the_deltas_is_zero_as_in_real_fine_tuning(record: RunRecord) -> None:
    zero = sum(sum(tensor.zero_delta or ()) for tensor in record.tensors)
    total = sum(8 * tensor.elements for tensor in record.tensors)
    assert 0.4 < zero / total < 0.9


def test_resampling_leaves_what_the_overlap_predicts(record: RunRecord) -> None:
    draws = load_recipe(DEMO_FOLDER / "recipe.yaml").resamples + 1
    overlap = [sum(column) for column in zip(*(t.changed_by or () for t in record.tensors), strict=True)]
    observed = [
        sum(column) for column in zip(*(t.zero_after_draw or () for t in record.tensors), strict=True)
    ]
    assert len(observed) == draws == 5
    for draw in range(draws):
        stays = [(1 - changed / 8) ** (draw + 1) for changed in range(9)]
        expected = sum(count * share for count, share in zip(overlap, stays, strict=True))
        error = math.sqrt(
            sum(count * share * (1 - share) for count, share in zip(overlap, stays, strict=True))
        )
        assert abs(observed[draw] - expected) <= 4 * error, (draw, observed[draw], expected, error)


def test_inspect_counts_what_the_merge_counts(record: RunRecord) -> None:
    inspection = inspect_models(DEMO_FOLDER / "base", [DEMO_FOLDER / f"order-{at}" for at in range(1, 9)])
    by_name = {tensor.name: tensor for tensor in inspection.tensors}
    assert set(by_name) == {tensor.name for tensor in record.tensors}
    for tensor in record.tensors:
        assert by_name[tensor.name].zero_delta == tensor.zero_delta
        assert by_name[tensor.name].changed_by == tensor.changed_by
        assert by_name[tensor.name].elements == tensor.elements


def test_the_demo_command_writes_checkpoint_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "demo"
    assert main(desktop(), ["demo", "--headless", "--out", str(out)]) == 0
    assert not verify_output(out).card
    listed = [file.name for file in read_record(out).files if file.name.startswith("pictures/")]
    assert listed == sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    pictures = sorted(path.name for path in out.rglob("*.png"))
    assert pictures == ["provenance.png", "resampling.png", "zero-deltas.png"]
    printed = capsys.readouterr().out
    assert str(out) in printed
    assert "zero-deltas.png" in printed


def test_one_seed_gives_one_result_and_another_seed_another(
    merged: Path, tmp_path: Path, record: RunRecord
) -> None:
    recipe = str(DEMO_FOLDER / "recipe.yaml")
    again, other = tmp_path / "again", tmp_path / "other"
    assert (
        main(desktop(), ["merge", recipe, "--out", str(again), "--threads", "1", "--shard-size", "300kB"])
        == 0
    )
    assert main(desktop(), ["merge", recipe, "--out", str(other), "--seed", "8"]) == 0
    assert len(list(again.glob("*.safetensors"))) > 1
    assert json.loads((again / "model.safetensors.index.json").read_text())["weight_map"]
    digests = {tensor.name: tensor.digest for tensor in record.tensors}
    assert {tensor.name: tensor.digest for tensor in read_record(again).tensors} == digests
    changed = [tensor.name for tensor in read_record(other).tensors if tensor.digest != digests[tensor.name]]
    assert "model.layers.0.mlp.up_proj.weight" in changed
