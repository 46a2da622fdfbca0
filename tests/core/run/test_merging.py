"""Several outputs of one read, and passes that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from method_checks import make_models, recipe_data
from step_executor import StepExecutor

from core import plan_merge, run_merge
from core.cancel import CancelToken
from core.checkpoint.files import WriteFile
from core.methods import METHODS
from core.plan.merge_plan import MergePlan
from core.progress import Progress
from core.recipe.parsing import parse_recipe
from core.run import merging
from core.run.executors.threads import ThreadExecutor
from core.run.merging import MergeWork, Target
from core.run.passes import Done
from core.run.work import LATER, Executor
from core.table import workspace


def plans_of(folder: Path, recipes: Sequence[dict[str, Any]]) -> list[MergePlan]:
    return [plan_merge(parse_recipe(recipe, folder)) for recipe in recipes]


def write_together(plans: Sequence[MergePlan], folder: Path, executor: Executor) -> MergeWork:
    """All outputs in one read, with a file for each."""
    targets = []
    for number, plan in enumerate(plans):
        (layout,) = plan.shards
        shard = WriteFile(folder / f"together-{number}", layout.size_bytes)
        shard.write_at(memoryview(layout.header), 0)
        targets.append(Target(plan, [shard]))
    work = MergeWork(targets, workspace, slots=2, budget_bytes=2**28, chunk_bytes=1)
    executor.run(work, slots=2, token=CancelToken(), poll=lambda: None)
    for target in targets:
        for shard in target.shards:
            shard.close()
    return work


@pytest.mark.parametrize("executor", [ThreadExecutor(), StepExecutor()], ids=["threads", "steps"])
def test_one_read_feeds_several_outputs(tmp_path: Path, executor: Executor) -> None:
    """Other methods, seeds, types and folds beside each other give what each gives alone."""
    make_models(tmp_path, 1)
    recipes = [
        recipe_data(METHODS["parameter_selection"], 1, {"resamples": 2}, seed=1),
        recipe_data(METHODS["linear"], 1, {}),
        recipe_data(METHODS["parameter_selection"], 1, {"resamples": 0}, seed=2) | {"out_dtype": "float32"},
        recipe_data(METHODS["slerp"], 1, {"t": 0.3}),
        recipe_data(METHODS["slerp"], 1, {"t": 0.9}),
    ]
    plans = plans_of(tmp_path, recipes)
    work = write_together(plans, tmp_path, executor)
    once = sum(s.bytes_to_read for tensor in plans[0].tensors for s in tensor.inputs)
    copied = sum(s.bytes_to_read for t in plans[0].tensors if t.job is None for s in t.inputs)
    assert work.bytes_read == 2 * once - copied, "one read for the fold and one for all maps"
    for number, plan in enumerate(plans):
        alone = run_merge(plan, tmp_path / f"alone-{number}")
        assert work.records(number) == alone.tensors
        whole = (tmp_path / f"alone-{number}" / plan.shards[0].file_name).read_bytes()
        assert (tmp_path / f"together-{number}").read_bytes() == whole


def test_passes_of_several_outputs_are_all_counted(tmp_path: Path) -> None:
    """Of folds that are not at the same places: one output reads again what the other has read all of."""
    make_models(tmp_path, 1)
    values = {"density": 0.4}
    recipes = [
        recipe_data(METHODS["ties"], 1, values | {"rescale": True}),
        recipe_data(METHODS["ties"], 1, values) | {"out_dtype": "float32"},
    ]
    plans = plans_of(tmp_path, recipes)
    told: list[Progress] = []
    work = write_together(plans, tmp_path, ThreadExecutor())
    work.report(told.append, None)
    assert told[-1].bytes_done == told[-1].bytes_total
    assert work.bytes_read > max(plan.bytes_to_read for plan in plans)
    for number, plan in enumerate(plans):
        assert work.records(number) == run_merge(plan, tmp_path / f"alone-{number}").tensors


def test_outputs_of_other_inputs_are_refused(tmp_path: Path) -> None:
    make_models(tmp_path, 2)
    one = recipe_data(METHODS["linear"], 2, {})
    other = {**one, "models": list(reversed(one["models"]))}
    plans = plans_of(tmp_path, [one, other])
    with pytest.raises(ValueError, match="sources"):
        MergeWork([Target(plan, []) for plan in plans], workspace, slots=1, budget_bytes=1, chunk_bytes=1)


def slerp_work(folder: Path, monkeypatch: pytest.MonkeyPatch, ahead: int) -> MergeWork:
    make_models(folder, 1)
    monkeypatch.setattr(merging, "_AHEAD_BYTES", ahead)
    (plan,) = plans_of(folder, [recipe_data(METHODS["slerp"], 1, {})])
    (layout,) = plan.shards
    shard = WriteFile(folder / "out", layout.size_bytes)
    return MergeWork([Target(plan, [shard])], workspace, slots=1, budget_bytes=2**28, chunk_bytes=1)


def test_the_passes_of_a_tensor_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the next tensor is read before the map of one whose fold is finished."""
    work = slerp_work(tmp_path, monkeypatch, 0)
    slot = work.slot()
    order: list[tuple[int, int]] = []
    while (chunk := work.take()) is not None:
        assert chunk is not LATER, "one at a time there is always something to do"
        order.append((chunk.tensor, chunk.step))
        for step in (slot.fill, slot.compute):
            step(chunk)
        work.collect(slot.finish(chunk))
    assert order == sorted(order)
    assert {step for _, step in order} == {0, 1}


def test_a_map_waits_for_its_fold_and_other_tensors_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = slerp_work(tmp_path, monkeypatch, 2**40)
    slot = work.slot()
    folds: list[Done] = []
    while (chunk := work.take()) is not LATER:
        if chunk is not None and chunk.step == 1:  # what is copied has no fold
            continue
        assert chunk is not None
        slot.fill(chunk)
        slot.compute(chunk)
        done = slot.finish(chunk)
        if done.rows:
            folds.append(done)
        else:
            work.collect(done)
    for done in reversed(folds):  # in any order
        assert work.take() is LATER or folds.index(done) < len(folds) - 1
        work.collect(done)
    ready = []
    while (chunk := work.take()) is not LATER and chunk is not None:
        ready.append(chunk)
    assert ready
    assert all(chunk.step == 1 and "of_base" in chunk.found[0] for chunk in ready)


def test_chunks_and_what_comes_of_them_are_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be sent elsewhere: nothing in them is tied to this process."""
    import pickle

    work = slerp_work(tmp_path, monkeypatch, 0)
    slot = work.slot()
    while (chunk := work.take()) is not None:
        assert chunk is not LATER
        chunk = pickle.loads(pickle.dumps(chunk))
        slot.fill(chunk)
        slot.compute(chunk)
        work.collect(pickle.loads(pickle.dumps(slot.finish(chunk))))
    assert len(work.records()) > 3
