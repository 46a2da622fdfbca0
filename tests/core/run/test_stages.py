"""Merges one after the other: what is between lies beside the output and goes; what is cut off goes on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from core import (
    CancelToken,
    discard,
    leftover_of,
    load_recipe,
    plan_merge,
    read_record,
    run_merge,
    verify_output,
)
from core.checkpoint.output import free_disk_bytes
from core.errors import Cancelled, MergeError, OutputError, UnfinishedError
from core.plan.choice import choose
from core.plan.chunking import peak_memory_bytes
from core.plan.estimate import Throughput
from core.progress import Progress
from core.run.record import TensorRecord

NAMES = (
    "model.embed_tokens.weight",
    "model.layers.0.w.weight",
    "model.layers.1.w.weight",
    "model.norm.weight",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        generator = torch.Generator().manual_seed(seed)
        tensors = {one: torch.randn(64, 64, generator=generator).bfloat16() for one in NAMES}
        save_file(tensors, tmp_path / name / "model.safetensors", metadata={"format": "pt"})
        (tmp_path / name / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 2}')
    return tmp_path


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _source(model: str, *layers: int) -> dict[str, Any]:
    return {"model": model, "layer_range": list(layers)}


def linear(*models: str, **more: Any) -> dict[str, Any]:
    return {**more, "merge_method": "linear", "models": [{"model": name} for name in models]}


DOCUMENTS = (
    linear("a", "b", name="one", out_dtype="float32"),
    linear("one", "c", name="two", dtype="float32"),
    linear("two", "a", dtype="bfloat16"),
)


def beside(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {"a", "b", "c", "recipe.yaml"}


def test_the_result_is_that_of_merging_one_by_one(folder: Path) -> None:
    plan = plan_merge(load_recipe(write(folder, *DOCUMENTS)))
    assert [name for name, _ in plan.stages] == ["one", "two"]
    assert "'one' and 'two' are merged first" in plan.warnings[0]
    run_merge(plan, folder / "out")
    for number, one in enumerate(DOCUMENTS):
        name = str(one.get("name", "by-hand"))
        run_merge(plan_merge(load_recipe(write(folder, {**one, "name": None}))), folder / name)
        if number == 0:
            assert load_file(folder / name / "model.safetensors")[NAMES[0]].dtype is torch.float32
    found, expected = (load_file(folder / name / "model.safetensors") for name in ("out", "by-hand"))
    assert all(torch.equal(found[name], expected[name]) for name in NAMES)


def test_what_is_between_is_gone_and_the_record_tells_all(folder: Path) -> None:
    run_merge(plan_merge(load_recipe(write(folder, *DOCUMENTS))), folder / "out")
    assert beside(folder) == {"out"}
    assert verify_output(folder / "out").tensors == len(NAMES)
    record = read_record(folder / "out")
    assert [stage["name"] for stage in record.recipe["stages"]] == ["one", "two"]
    assert str(folder) not in (folder / "out" / "paramosaic.json").read_text()
    card = (folder / "out" / "README.md").read_text()
    assert str(folder) not in card
    block = card.partition("```yaml\n")[2].partition("```")[0]
    assert len(list(yaml.safe_load_all(block))) == 3


def cut_off(folder: Path, *, at: int, keep: bool) -> None:
    """Cancel the merge number `at` when it has begun."""
    token, begun = CancelToken(), []

    def note(sentence: str) -> None:
        begun.append(sentence)
        if len([one for one in begun if one.startswith("merge ")]) == at:
            token.cancel(keep=keep)

    with pytest.raises(Cancelled):
        run_merge(
            plan_merge(load_recipe(folder / "recipe.yaml")),
            folder / "out",
            cancel=token,
            keep=keep,
            on_note=note,
        )


@pytest.mark.parametrize("at", [2, 3])
def test_it_goes_on_where_it_was_cut_off(folder: Path, at: int) -> None:
    write(folder, *DOCUMENTS)
    cut_off(folder, at=at, keep=True)
    assert beside(folder) == {"out.stages"}
    stamp = (folder / "out.stages" / "one" / "model.safetensors").stat()
    left = leftover_of(folder / "out")
    assert left is not None
    assert (left.path, left.runs) == (folder / "out.stages", False)
    with pytest.raises(UnfinishedError):
        run_merge(plan_merge(load_recipe(folder / "recipe.yaml")), folder / "out")
    notes: list[str] = []
    run_merge(
        plan_merge(load_recipe(folder / "recipe.yaml")), folder / "out", resume=True, on_note=notes.append
    )
    assert any("one is finished already" in note for note in notes)
    assert stamp.st_size
    assert beside(folder) == {"out"}


def test_nothing_is_left_of_one_that_was_cancelled(folder: Path) -> None:
    write(folder, *DOCUMENTS)
    cut_off(folder, at=2, keep=False)
    assert beside(folder) == set()


def test_what_is_left_can_be_removed(folder: Path) -> None:
    write(folder, *DOCUMENTS)
    cut_off(folder, at=3, keep=True)
    discard(folder / "out.stages")
    assert beside(folder) == set()


def test_what_another_recipe_left_is_not_taken(folder: Path) -> None:
    write(folder, *DOCUMENTS)
    cut_off(folder, at=2, keep=True)
    others = ({**DOCUMENTS[0], "parameters": {"weight": [1, 2]}}, *DOCUMENTS[1:])
    with pytest.raises(
        OutputError, match="is of another recipe or of models that have changed since"
    ) as raised:
        run_merge(plan_merge(load_recipe(write(folder, *others))), folder / "out", resume=True)
    assert f"discard {folder / 'out.stages'}" in str(raised.value.hint)
    assert raised.value.kept == folder / "out.stages"
    assert sorted(os.listdir(folder / "out.stages")) == ["one"]


def test_what_another_model_made_is_not_taken(folder: Path) -> None:
    """A model that was trained once more, under the same name and as large."""
    write(folder, *DOCUMENTS)
    cut_off(folder, at=2, keep=True)
    path = folder / "a" / "model.safetensors"
    save_file({name: one + 1 for name, one in load_file(path).items()}, path, metadata={"format": "pt"})
    with pytest.raises(OutputError, match="is of another recipe or of models that have changed since"):
        run_merge(plan_merge(load_recipe(folder / "recipe.yaml")), folder / "out", resume=True)


def test_a_folder_in_the_place_of_a_stages(folder: Path) -> None:
    (folder / "out.stages" / "one").mkdir(parents=True)
    (folder / "out.stages" / "one" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is there, and no merge made it") as raised:
        run_merge(plan_merge(load_recipe(write(folder, *DOCUMENTS))), folder / "out", resume=True)
    assert raised.value.kept is None
    assert (folder / "out.stages" / "one" / "notes.txt").read_text() == "mine"


def test_what_a_failing_stage_comes_after_is_kept(folder: Path) -> None:
    """The next one begins with what is there by then."""
    write(folder, *DOCUMENTS)
    moved = folder / "elsewhere"

    def note(sentence: str) -> None:
        if sentence == "merge 2 of 3: two":
            (folder / "c").rename(moved)

    with pytest.raises(MergeError, match=r"document 'two': the model folder .* does not exist") as raised:
        run_merge(plan_merge(load_recipe(folder / "recipe.yaml")), folder / "out", on_note=note)
    assert raised.value.kept == folder / "out.stages"
    assert os.listdir(folder / "out.stages") == ["one"]
    moved.rename(folder / "c")
    notes: list[str] = []
    plan = plan_merge(load_recipe(folder / "recipe.yaml"))
    run_merge(plan, folder / "out", resume=True, on_note=notes.append)
    assert any("one is finished already" in one for one in notes)
    assert beside(folder) == {"out"}


def test_what_is_not_ours_stays(folder: Path) -> None:
    write(folder, *DOCUMENTS)
    cut_off(folder, at=3, keep=True)
    (folder / "out.stages" / "one" / "notes.txt").write_text("mine")
    run_merge(plan_merge(load_recipe(folder / "recipe.yaml")), folder / "out", resume=True)
    assert (folder / "out.stages" / "one" / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir(folder / "out.stages")) == ["one"]


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ((linear("a", "missing", name="one"), linear("one", "b")), "document 'one': "),
        ((linear("a", "b", name="one"), linear("one", "missing")), "missing"),
        (
            (
                {"name": "one", "merge_method": "passthrough", "slices": [{"sources": [_source("a", 0, 3)]}]},
                linear("one", "b"),
            ),
            "document 'one': slices, entry 1: layer_range [0, 3] of a is not among its layers",
        ),
        (
            (
                {"name": "one", "merge_method": "passthrough", "slices": [{"sources": [_source("a", 0, 1)]}]},
                linear("one", "b"),
            ),
            "layers.1.w",
        ),
    ],
)
def test_all_of_it_is_planned_before_anything_is_merged(
    folder: Path, documents: tuple[dict[str, Any], ...], said: str
) -> None:
    with pytest.raises(MergeError) as raised:
        plan_merge(load_recipe(write(folder, *documents)))
    assert said in raised.value.message
    assert beside(folder) == set()


def test_the_disk_has_to_hold_all_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_merge(load_recipe(write(folder, *DOCUMENTS)))
    assert free_disk_bytes(folder / "out") > 0
    needed = plan.bytes_to_write + sum(stage.bytes_to_write for _, stage in plan.stages)
    monkeypatch.setattr("core.plan.planning.free_disk_bytes", lambda out: needed - 1)
    with pytest.raises(OutputError, match="what is merged before it") as raised:
        run_merge(plan, folder / "out")
    assert raised.value.field == "out"
    assert beside(folder) == set()


def test_what_is_expected_is_said_of_all_merges(folder: Path) -> None:
    plan = plan_merge(load_recipe(write(folder, *DOCUMENTS)))
    parts = [replace(one, stages=()) for one in plan.merges]
    assert len(parts) == 3
    slow = Throughput(core=1e4)  # so that the arithmetic is what it takes
    expected, (*before, result) = choose(plan, "cpu", 1, slow), [choose(one, "cpu", 1, slow) for one in parts]
    assert expected.chosen.work == result.chosen.work, "of which a finished merge tells how long it took"
    seconds = [one.chosen.estimate.merge_s for one in (*before, result)]
    assert min(seconds) > 0.1
    assert expected.chosen.seconds == pytest.approx(sum(seconds) + result.chosen.estimate.start_s)
    assert result.chosen.work.cold_bytes <= parts[-1].bytes_to_read / 2, "what is merged before is in memory"
    assert peak_memory_bytes(plan, threads=1) == max(peak_memory_bytes(one, threads=1) for one in parts)
    assert peak_memory_bytes(parts[-1], threads=1) < peak_memory_bytes(plan, threads=1)


def test_progress_is_that_of_all_merges_together(folder: Path) -> None:
    told: list[Progress] = []
    tensors: list[TensorRecord] = []
    plan = plan_merge(load_recipe(write(folder, *DOCUMENTS)))
    run_merge(plan, folder / "out", progress=told.append, on_tensor=tensors.append)
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions)
    assert (fractions[-1], len({one.bytes_total for one in told})) == (1, 1)
    assert any(0 < fraction < 0.9 for fraction in fractions)
    assert {tensor.name for tensor in tensors} == {tensor.output.name for tensor in plan.tensors}
    assert len(tensors) == len(plan.tensors)
