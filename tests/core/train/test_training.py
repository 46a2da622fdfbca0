"""Making sub-models: what is learnt, in which order, what is left behind, and going on after a stop."""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_trainings as small

from core.cancel import CancelToken
from core.checkpoint.ownership import OWN_FOLDER, Ownership
from core.data.rows import read_data
from core.disk import OpenFolder
from core.errors import Cancelled, DataError, MergeError, OutputError, RunningError, TrainingError
from core.evaluate.losses.scoring import score_model
from core.evaluate.models.loading import load_model
from core.evaluate.settings import Settings
from core.progress_file import ProgressFile
from core.recipe.file import load_recipe
from core.train.finishing import write_recipes
from core.train.orders import permutation
from core.train.runs_folder import Training, read_training
from core.train.step_log import read_log
from core.train.training import train_sub_models

STEPS, AN_EPOCH = 8, 4


class StopError(Exception):
    """The process ends here, as far as the training can tell."""


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> Iterator[None]:
    """The garbage collector, which accelerate calls before each run, leaves out all that was imported."""
    import transformers

    assert transformers.Trainer
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainings")
    small.base_folder(folder / "plain")
    small.base_folder(folder / "base", template=True)
    small.base_folder(folder / "dropout", dropout=0.3, template=True)
    small.rows_file(folder / "rows.jsonl")
    small.rows_file(folder / "held-out.jsonl", 5)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Training:
    """One run with dropout, validated in the middle of its epochs too, that nothing stopped."""
    return train_sub_models(of_dropout(place, place / "whole"))


def of_dropout(place: Path, out: Path, **changes: Any) -> Any:
    given = {"validation": place / "held-out.jsonl", "eval_steps": 3, "keep": "last"} | changes
    return small.request(place / "dropout", place / "rows.jsonl", out, **given)


def stop_after(step: int) -> Callable[[Any], None]:
    def on_step(done: Any) -> None:
        if done.step == step:
            raise StopError

    return on_step


# -- what is learnt


def plain_loop(base: Path, rows: list[dict[str, str]], order: list[int], *, lr: float) -> dict[str, Any]:
    """Two epochs in plain torch: batches of four, AdamW, a warm-up of 2 of 8 steps, half a cosine, clip 1."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    count = len(rows)
    for step in range(STEPS):
        epoch, at = divmod(step, AN_EPOCH)
        batch = [rows[row] for row in order[epoch * count :][:count][4 * at : 4 * at + 4]]
        losses = []
        for row in batch:  # one at a time: no padding
            before = tokenizer(row["prompt"])["input_ids"]
            after = [*tokenizer(row["response"], add_special_tokens=False)["input_ids"], 1]  # </s> counts too
            ids = torch.tensor([before + after])
            logits = model(input_ids=ids).logits[0, len(before) - 1 : -1].double()
            losses.append(torch.nn.functional.cross_entropy(logits, ids[0, len(before) :], reduction="none"))
        rate = lr * (step / 2 if step < 2 else 0.5 + 0.5 * math.cos(math.pi * (step - 2) / 6))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        torch.cat(losses).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return dict(model.named_parameters())


@pytest.fixture(scope="module")
def exact(place: Path) -> Training:
    """One run that is saved in float32, twice."""
    given = {"save_dtype": "float32", "also_float32": True, "validation": place / "held-out.jsonl"}
    return train_sub_models(small.request(place / "plain", place / "rows.jsonl", place / "exact", **given))


def test_the_weights_are_those_of_a_plain_loop_in_the_order_of_the_file(place: Path, exact: Training) -> None:
    from safetensors.torch import load_file

    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().splitlines()]
    order = [int(row) for epoch in (1, 2) for row in exact.orders[0].order(epoch)]
    assert order == [int(row) for epoch in (1, 2) for row in permutation(0, 1, epoch, small.ROWS)]
    expected = plain_loop(place / "plain", rows, order, lr=3e-3)
    found = load_file(exact.orders[0].epochs[-1] / "model.safetensors")
    start = load_file(place / "plain" / "model.safetensors")
    assert set(found) == set(start)
    for name, tensor in found.items():
        assert str(tensor.dtype) == "torch.float32"
        moved = (tensor - start[name].float()).abs().max()
        assert moved > 1e-3
        # Sums in another order: a thousandth of what was learnt, where one row at another place is a tenth.
        assert (tensor - expected[name]).abs().max() < 1e-3 * moved, name


def test_what_is_saved_as_float32_too_is_the_last_epochs(exact: Training) -> None:
    folder = exact.orders[0].folder
    names = sorted(path.name for path in (folder / "float32").iterdir())
    assert names == sorted(path.name for path in exact.orders[0].epochs[-1].iterdir())
    weights = [path / "model.safetensors" for path in (folder / "float32", *exact.orders[0].epochs)]
    before = [path.read_bytes() for path in weights]
    assert before[0] == before[-1] != before[1]


def test_the_validation_loss_is_what_evaluating_the_model_gives(place: Path, exact: Training) -> None:
    settings = Settings(device="cpu", threads=1)
    logged = read_log(exact.orders[0].folder / "log.jsonl")
    for folder, step in zip(exact.orders[0].epochs, (AN_EPOCH, STEPS), strict=True):
        with load_model(folder, settings=settings) as model:
            scores = score_model(model, read_data(place / "held-out.jsonl"), settings)
        assert logged[step - 1]["eval_loss"] == pytest.approx(scores.mean_loss, abs=1e-5)


def test_where_evaluating_reads_more_of_a_row_it_is_said(place: Path, tmp_path: Path) -> None:
    """The model takes 64 tokens, which evaluating reads, and the training was told to read fewer."""

    def notes_of(max_length: int) -> list[str]:
        notes: list[str] = []
        given = {"validation": place / "held-out.jsonl", "max_length": max_length}
        asked = small.request(place / "dropout", place / "rows.jsonl", tmp_path / str(max_length), **given)
        with pytest.raises(StopError):
            train_sub_models(asked, on_note=notes.append, on_step=stop_after(1))
        return [note for note in notes if "paramosaic evaluate" in note]

    assert "longer than 30 tokens" in notes_of(30)[0]
    assert "--max-length 30" in notes_of(30)[0]
    assert notes_of(63) == notes_of(64) == notes_of(512) == []


def test_a_saved_model_is_rounded_and_complete(whole: Training, place: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (folder,) = whole.orders[0].epochs
    names = {path.name for path in (place / "dropout").iterdir()}
    assert {path.name for path in folder.iterdir()} == {*names, "README.md"}
    config, before = (json.loads((at / "config.json").read_text()) for at in (folder, place / "dropout"))
    assert config == before
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert str(place) not in (folder / "README.md").read_text()


# -- going on


def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_bits(whole: Training, place: Path) -> None:
    out = place / "stopped"
    token = CancelToken()
    seen: list[int] = []

    def on_step(done: Any) -> None:
        seen.append(done.step)
        if done.step == 6:
            token.cancel()

    with pytest.raises(StopError):  # within the first epoch, after a checkpoint at each step
        train_sub_models(of_dropout(place, out, save_every_s=0), on_step=stop_after(3))
    with pytest.raises(StopError):  # within the second, without one since
        train_sub_models(of_dropout(place, out), on_step=stop_after(5))
    with pytest.raises(Cancelled, match="the training was cancelled"):
        train_sub_models(of_dropout(place, out), on_step=on_step, cancel=token)
    again = train_sub_models(of_dropout(place, out), on_step=on_step)
    assert seen == [3, 4, 5, 6, 7, 8], "it goes on after the last checkpoint, and does not begin again"
    assert small.weights_of(again.orders[0].epochs[0]) == small.weights_of(whole.orders[0].epochs[0])
    logs = [read_log(one.orders[0].folder / "log.jsonl") for one in (again, whole)]
    assert small.log_without_times(logs[0]) == small.log_without_times(logs[1])
    assert not (again.orders[0].folder / "resume").exists()


def test_a_validation_does_not_keep_a_run_from_stopping(
    whole: Training, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the validation after an epoch, in what makes up for it, and in the very last one."""
    from core.train import trainer

    out, token, seen = place / "stopped-in-validation", CancelToken(), list[int]()
    parts = 0
    stops = (3, 4, 9)  # of two parts each: after steps 3 and 4; 4 once more; 4, 6 and 8

    def row_losses(*given: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts in stops:
            token.cancel()
        return in_earnest(*given)

    in_earnest = trainer.row_losses
    monkeypatch.setattr(trainer, "row_losses", row_losses)
    for stop, step in zip(stops, (4, 4, 8), strict=True):
        token = CancelToken()
        with pytest.raises(Cancelled, match="the training was cancelled"):
            train_sub_models(
                of_dropout(place, out), on_step=lambda done: seen.append(done.step), cancel=token
            )
        assert parts == stop, "nothing is computed once it was stopped"
        log = read_log(out / "order-1" / "log.jsonl")
        assert (log[-1]["step"], "eval_loss" in log[-1]) == (step, False)
    again = train_sub_models(of_dropout(place, out), on_step=lambda done: seen.append(done.step))
    assert seen == list(range(1, STEPS + 1))
    assert small.weights_of(again.orders[0].epochs[0]) == small.weights_of(whole.orders[0].epochs[0])
    logs = [read_log(one.orders[0].folder / "log.jsonl") for one in (again, whole)]
    assert small.log_without_times(logs[0]) == small.log_without_times(logs[1])


def test_dropout_is_at_work_which_makes_that_hard(whole: Training, pair: Training) -> None:
    """Of the same weights and the same rows, in their first batch, the loss differs."""
    assert whole.orders[0].order(1).tolist() == pair.orders[0].order(1).tolist()
    losses = [read_log(one.orders[0].folder / "log.jsonl")[0]["loss"] for one in (whole, pair)]
    assert losses[0] != losses[1]


# -- what is written


@pytest.fixture(scope="module")
def pair(place: Path) -> Training:
    """Two orders with the same batches, of which the best epoch is kept."""
    asked = small.request(
        *(place / "base", place / "rows.jsonl", place / "pair"),
        orders=2,
        same_batches=True,
        keep="best",
        validation=place / "held-out.jsonl",
        resamples=2,
    )
    return train_sub_models(asked)


def test_the_folder_says_what_was_trained(pair: Training, place: Path) -> None:
    found = read_training(place / "pair")
    assert found == pair
    assert found.done
    assert (found.task, found.base, found.data) == ("causal", place / "base", place / "rows.jsonl")
    for order in found.orders:
        assert order.steps == STEPS
        assert order.steps_after(1) == AN_EPOCH
        seen = order.order(1).tolist()
        assert order.positions(1).tolist() == [seen.index(row) for row in range(small.ROWS)]
    one, two = (order.order(2) for order in found.orders)
    assert {frozenset(part) for part in (one[:4].tolist(), one[4:8].tolist(), one[8:12].tolist())} == {
        frozenset(part) for part in (two[:4].tolist(), two[4:8].tolist(), two[8:12].tolist())
    }


def test_the_best_epoch_is_the_same_for_all(pair: Training) -> None:
    logs = [read_log(order.folder / "log.jsonl") for order in pair.orders]
    means = [np.mean([log[at]["eval_loss"] for log in logs]) for at in (AN_EPOCH - 1, STEPS - 1)]
    assert pair.best_epoch == 1 + int(np.argmin(means))
    assert [order.epoch_numbers for order in pair.orders] == [(pair.best_epoch,)] * 2
    recipe = load_recipe(pair.folder / "recipe.yaml")
    assert recipe.method.name == "parameter_selection"
    assert recipe.base == pair.base
    assert [model.path for model in recipe.models] == [order.epochs[0] for order in pair.orders]


def test_an_epoch_without_a_number_is_not_the_best(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is no number is null in the log and the events, and no end of the training."""
    from core.train import trainer

    given = iter([math.nan, 3.0, 2.0, 2.5])  # orders of two epochs each: means NaN and 2.75
    monkeypatch.setattr(trainer._OrderTrainer, "validation_loss", lambda _: next(given))
    asked = small.request(
        *(place / "base", place / "rows.jsonl", tmp_path / "runs"),
        orders=2,
        keep="best",
        validation=place / "held-out.jsonl",
    )
    with ProgressFile(tmp_path / "events") as events:
        training = train_sub_models(asked, on_step=lambda done: events.say("step", **vars(done)))
    assert training.best_epoch == 2
    log = (training.orders[0].folder / "log.jsonl").read_text()
    for text in (log, (tmp_path / "events").read_text()):
        lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
        assert [line["eval_loss"] for line in lines if "eval_loss" in line and line["step"] == 4][:1] == [
            None
        ]


def test_without_a_number_after_any_epoch_all_are_kept(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.train import trainer

    monkeypatch.setattr(trainer._OrderTrainer, "validation_loss", lambda _: math.inf)
    asked = small.request(
        *(place / "base", place / "rows.jsonl", tmp_path / "runs"),
        keep="best",
        validation=place / "held-out.jsonl",
    )
    with pytest.raises(TrainingError, match="after no epoch") as raised:
        train_sub_models(asked)
    assert raised.value.field == "validation"
    assert len(read_training(tmp_path / "runs").orders[0].epochs) == 2


def test_more_orders_are_added_and_finished_ones_stay(pair: Training, place: Path) -> None:
    out = place / "three"
    shutil.copytree(place / "pair", out)
    document = json.loads((out / "training.json").read_text())
    before = {path: path.stat().st_mtime_ns for path in (out / "order-1").rglob("*")}
    asked = small.request(
        *(place / "base", place / "rows.jsonl", out),
        orders=3,
        same_batches=True,
        keep="best",
        validation=place / "held-out.jsonl",
    )
    training = train_sub_models(asked)
    assert {path: path.stat().st_mtime_ns for path in (out / "order-1").rglob("*")} == before
    assert [order.done for order in training.orders] == [True] * 3
    assert training.document["orders"][:2] == document["orders"]
    assert len(load_recipe(out / "recipe.yaml").models) == 3


def test_a_recipe_that_was_changed_is_left_alone(pair: Training, place: Path) -> None:
    out = place / "changed"
    shutil.copytree(place / "pair", out)
    notes: list[str] = []

    def write(orders: int) -> str:
        settings = replace(pair.settings, orders=orders)
        document = json.loads((out / "training.json").read_text())
        write_recipes(document, out, settings, base=pair.base, resamples=3, note=notes.append)
        return (out / "recipe.yaml").read_text()

    ours = (out / "recipe.yaml").read_text()
    assert write(2) == ours, "n of a later call is not that of a recipe that is there"
    theirs = f"# Mine.\n{ours}"
    (out / "recipe.yaml").write_text(theirs)
    assert write(2) == theirs
    assert not notes
    assert write(3) == theirs
    assert "recipe.yaml was changed" in notes[0]
    (out / "recipe.yaml").write_text(ours)
    assert "order-3/" in write(3)
    assert "order-4/" in write(4), "one that was written by a later call is known too"
    assert len(notes) == 1


def test_a_classifier_gets_one_new_head_for_all(place: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    data = small.rows_file(tmp_path / "labels.jsonl", 8, labels=("no", "yes", "maybe"))
    notes: list[str] = []
    asked = small.request(place / "base", data, tmp_path / "runs", orders=2, epochs=1)
    training = train_sub_models(asked, on_note=notes.append)
    assert training.task == "classifier"
    assert training.base == tmp_path / "runs" / "base"
    assert any("a new one was made from the seed, the same for all orders" in note for note in notes)
    start = load_file(training.base / "model.safetensors")
    body = load_file(place / "base" / "model.safetensors")
    assert all((start[name] == tensor).all() for name, tensor in body.items())
    assert start["score.weight"].std() > 0.01
    for order in training.orders:
        model = AutoModelForSequenceClassification.from_pretrained(order.epochs[0])
        assert model.config.id2label == {0: "maybe", 1: "no", 2: "yes"}
        assert set(load_file(order.epochs[0] / "model.safetensors")) == set(start)
    assert load_recipe(tmp_path / "runs" / "recipe.yaml").base == training.base


# -- refusals


@pytest.mark.parametrize(
    ("changes", "field", "hint"),
    [
        ({"learning_rate": 1e-3}, "learning_rate", "--lr"),
        ({"seed": 1}, "seed", "--seed"),
        ({"epochs": 3}, "epochs", "--epochs"),
        ({"orders": 1}, "orders", "--orders"),
        ({"validation": None, "keep": "all"}, "validation", "--validation"),
        ({"keep": "all"}, "keep", "--keep"),
    ],
)
def test_other_settings_are_refused_by_name(
    pair: Training, place: Path, changes: dict[str, Any], field: str, hint: str
) -> None:
    given = {
        "orders": 2,
        "same_batches": True,
        "keep": "best",
        "validation": place / "held-out.jsonl",
    } | changes
    with pytest.raises(TrainingError, match=f"was begun with {field}") as raised:
        train_sub_models(small.request(place / "base", place / "rows.jsonl", place / "pair", **given))
    assert raised.value.field == field
    assert hint in (raised.value.hint or "")


def test_other_data_and_another_base_are_refused(pair: Training, place: Path, tmp_path: Path) -> None:
    given = {"orders": 2, "same_batches": True, "keep": "best", "validation": place / "held-out.jsonl"}
    data = small.rows_file(tmp_path / "rows.jsonl", small.ROWS + 1)
    with pytest.raises(TrainingError, match="was begun with data"):
        train_sub_models(small.request(place / "base", data, place / "pair", **given))
    other = tmp_path / "base"
    shutil.copytree(place / "base", other)
    content = bytearray((other / "model.safetensors").read_bytes())
    content[-9] ^= 1
    (other / "model.safetensors").write_bytes(content)
    with pytest.raises(TrainingError, match="was begun with base"):
        train_sub_models(small.request(other, place / "rows.jsonl", place / "pair", **given))


def refused(asked: Any, kind: type[MergeError], match: str) -> MergeError:
    """What is said, which leaves no folder behind that was not there."""
    before = asked.out.exists()
    with pytest.raises(kind, match=match) as raised:
        train_sub_models(asked)
    assert asked.out.exists() == before
    assert raised.value.hint
    return raised.value


def test_what_cannot_begin_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = small.request(place / "base", place / "rows.jsonl", tmp_path / "runs")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").touch()
    refused(replace(asked, out=tmp_path / "taken"), OutputError, "is there already, and holds no training")
    refused(replace(asked, out=place / "base" / "runs"), TrainingError, "is in the folder of the base")
    settings = replace(asked.settings, keep="best")
    refused(replace(asked, settings=settings), TrainingError, "best epoch needs data to measure it on")
    labels = small.rows_file(tmp_path / "labels.jsonl", 4, labels=("one", "two"))
    refused(replace(asked, validation=labels), TrainingError, "one has labels and the other has none")
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text('{"text": "a"}\n{"txt": "b"}\n')
    for path in (damaged, small.rows_file(tmp_path / "rows.xlsx")):
        for name in ("data", "validation"):
            assert refused(replace(asked, **{name: path}), DataError, path.name).field == name
    one = small.rows_file(tmp_path / "one.jsonl", 4, labels=("one",))
    refused(replace(asked, data=one), TrainingError, "the one label 'one'")
    with monkeypatch.context() as patch:
        patch.setattr("core.train.disk.free_disk_bytes", lambda place: 1000)
        error = refused(asked, TrainingError, "there is not enough room at")
        assert error.field == "out"
    with monkeypatch.context() as patch:
        find = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else find(name))
        assert "pip install" in str(refused(asked, TrainingError, "the package accelerate").hint)


def test_two_trainings_into_one_folder_are_refused(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    (out / OWN_FOLDER).mkdir(parents=True)
    with OpenFolder(out) as folder:
        other = Ownership(folder, "20250131T140300-00000000")
        try:
            with pytest.raises(RunningError, match="another training is writing"):
                train_sub_models(small.request(place / "base", place / "rows.jsonl", out))
        finally:
            other.release()


def test_a_loss_that_is_no_number_stops_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.train.trainer.loss_sum", lambda logits, *_: logits.sum() * math.nan)
    with pytest.raises(TrainingError, match=r"order 1: the loss is nan at step 1\b") as raised:
        train_sub_models(small.request(place / "base", place / "rows.jsonl", tmp_path / "runs"))
    assert "--lr" in (raised.value.hint or "")


def test_a_base_that_holds_no_numbers_is_named_and_not_the_learning_rate(place: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(place / "base", base)
    content = bytearray((base / "model.safetensors").read_bytes())
    content[-4:] = b"\x80\x7f\xc0\x7f"  # the last two values: infinite, and none
    (base / "model.safetensors").write_bytes(content)
    asked = small.request(base, place / "rows.jsonl", tmp_path / "runs")
    with pytest.raises(
        TrainingError, match=r"2 of the 16 values of model\.norm\.weight are NaN or"
    ) as raised:
        train_sub_models(asked)
    assert str(base / "model.safetensors") in raised.value.message
    assert (raised.value.path, raised.value.tensor) == (base / "model.safetensors", "model.norm.weight")
    assert "--lr" not in (raised.value.hint or "")
    assert not (tmp_path / "runs" / "order-1" / "log.jsonl").exists()


def test_so_is_one_that_gets_a_new_head_for_labels(place: Path, tmp_path: Path) -> None:
    base = small.base_folder(tmp_path / "base")
    content = bytearray((base / "model.safetensors").read_bytes())
    content[-2:] = b"\xc0\x7f"
    (base / "model.safetensors").write_bytes(content)
    labelled = small.rows_file(tmp_path / "labelled.jsonl", labels=("no", "yes"))
    with pytest.raises(TrainingError, match=r"base/model\.safetensors: 1 of the 16 values of model\.norm"):
        train_sub_models(small.request(base, labelled, tmp_path / "runs"))
    assert not (tmp_path / "runs" / "training.json").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize(
    "changes",
    [{"initializer_range": 0.2, "rms_norm_eps": 1e-3}, {"vocab_size": 1030}],
    ids=["another", "one of another shape"],
)
def test_a_base_that_is_replaced_before_it_is_loaded_is_no_silent_mix(
    place: Path, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """Of two orders, the second would begin with another model than the first."""
    base, other = small.base_folder(tmp_path / "base"), small.base_folder(tmp_path / "other", **changes)
    whole = {path.name: path.read_bytes() for path in base.iterdir()}
    done: list[int] = []

    def replace_base(number: int, folder: Path) -> None:
        done.append(number)
        shutil.copy(other / name, base / name)

    asked = small.request(base, place / "rows.jsonl", tmp_path / "runs", orders=2, epochs=1)
    with pytest.raises(MergeError) as raised:
        train_sub_models(asked, on_order_done=replace_base)
    assert str(base / name) in raised.value.message
    assert "has changed since" in raised.value.message
    assert done == [1]
    (base / name).write_bytes(whole[name])
    assert len(train_sub_models(asked).orders) == 2  # the same command goes on once it is as it was


def test_an_order_that_was_edited_is_refused(place: Path, tmp_path: Path) -> None:
    asked = small.request(place / "base", place / "rows.jsonl", tmp_path / "runs")
    with pytest.raises(StopError):
        train_sub_models(asked, on_step=stop_after(1))
    path = tmp_path / "runs" / "order-1" / "order" / "epoch-2.txt"
    path.write_text("".join(f"{row}\n" for row in range(small.ROWS)))
    with pytest.raises(TrainingError, match=r"epoch-2\.txt is not the order that the training began with"):
        train_sub_models(asked)


def test_a_tokenizer_that_does_not_fit_is_refused(place: Path, tmp_path: Path) -> None:
    base = small.base_folder(tmp_path / "base", vocab_size=300)
    with pytest.raises(TrainingError, match="its embedding has 300 rows"):
        train_sub_models(small.request(base, place / "rows.jsonl", tmp_path / "runs"))


def test_too_little_memory_names_what_helps(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def padded(*_: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("core.train.trainer.padded", padded)
    with pytest.raises(MergeError, match=r"order 1: there is not enough memory for .* 3 samples") as raised:
        train_sub_models(small.request(place / "base", place / "rows.jsonl", tmp_path / "runs"))
    assert "--micro-batch 1" in (raised.value.hint or "")


def test_texts_that_are_cut_into_windows_are_put_into_an_order_as_windows(
    place: Path, tmp_path: Path
) -> None:
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": f"row {row} " * (20 * row + 4)}) + "\n" for row in range(3)))
    training = train_sub_models(small.request(place / "base", data, tmp_path / "runs", epochs=1))
    (run,) = training.orders
    seen = run.order(1).tolist()
    assert training.document["unit"] == "window"
    assert set(seen) == {0, 1, 2}
    assert seen.count(0) == 1
    assert seen.count(2) > seen.count(1) > 1
    assert run.steps == math.ceil(len(seen) / 4)
    assert run.positions(1).tolist() == [seen.index(row) for row in range(3)]


def test_a_full_disk_is_said_and_what_was_kept_is_gone_on_from(
    whole: Training, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    saved = torch.save

    def full(what: Any, where: Any, *rest: Any, **named: Any) -> None:
        if "checkpoint-3" in str(where):
            raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
        saved(what, where, *rest, **named)

    seen: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OutputError, match=r"cannot write .*resume") as raised:
            train_sub_models(of_dropout(place, tmp_path / "runs", save_every_s=0))
    assert "free some space" in (raised.value.hint or "")
    again = train_sub_models(
        of_dropout(place, tmp_path / "runs"), on_step=lambda done: seen.append(done.step)
    )
    assert seen[0] == 3
    assert small.weights_of(again.orders[0].epochs[0]) == small.weights_of(whole.orders[0].epochs[0])


def test_a_masked_language_model_is_refused_as_one_that_predicts_the_next_token(tmp_path: Path) -> None:
    """transformers would load it, and train it to copy the tokens that it sees."""
    from transformers import BertConfig, BertForMaskedLM

    base = small.base_folder(tmp_path / "base")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=1024, **sizes)).save_pretrained(base)
    with pytest.raises(TrainingError, match=r"base is a model of another kind \(BertForMaskedLM\)"):
        train_sub_models(small.request(base, small.rows_file(tmp_path / "data.jsonl"), tmp_path / "out"))


def test_rows_that_take_long_are_said_before_they_do(place: Path, tmp_path: Path) -> None:
    data = tmp_path / "books.jsonl"
    data.write_text(json.dumps({"prompt": "word " * 200_001, "response": "yes"}) + "\n")
    notes: list[str] = []

    def note(sentence: str) -> None:
        notes.append(sentence)
        if "characters" in sentence:
            raise StopError

    with pytest.raises(StopError):
        train_sub_models(small.request(place / "base", data, tmp_path / "runs"), on_note=note)
    assert notes[-1].startswith("books.jsonl: 1 of 1 row is longer than 1,000,000 characters (line 1)")


def test_validation_rows_that_are_learned_from_are_said_and_models_that_were_removed(tmp_path: Path) -> None:
    base, data = small.base_folder(tmp_path / "base"), small.rows_file(tmp_path / "data.jsonl")
    validation = small.rows_file(tmp_path / "held-out.jsonl", 5)
    asked = small.request(base, data, tmp_path / "out", validation=validation, epochs=1)
    notes: list[str] = []
    train_sub_models(asked, on_note=notes.append)
    assert any(note.startswith("held-out.jsonl: 5 of 5 rows are in data.jsonl too") for note in notes)
    shutil.rmtree(tmp_path / "out" / "order-1" / "epoch-1")
    with pytest.raises(TrainingError, match=r"order 1 in .* is done, and none of its models is there"):
        train_sub_models(asked)


def test_no_time_between_two_places_to_go_on_from_is_not_a_number(tmp_path: Path) -> None:
    base, data = small.base_folder(tmp_path / "base"), small.rows_file(tmp_path / "data.jsonl")
    with pytest.raises(TrainingError, match="is nan minutes"):
        train_sub_models(small.request(base, data, tmp_path / "out", save_every_s=math.nan))
