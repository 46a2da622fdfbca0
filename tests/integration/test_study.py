"""A study of the demo models by the command: merges, losses, tables, and going on after it was stopped."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.cli.commands import main
from core.data.encoding import encode
from core.data.rows import read_data
from core.plan.planning import plan_merge
from core.recipe.file import load_recipe
from core.run.merge import run_merge
from core.study.document import from_json, read_study
from core.study.family import family_of
from gui.entry import desktop
from resources import DEMO_FOLDER

ROWS = 24
MODELS = 8
"""Base, three sub-models, average, n = 0 and 1, the average in float32; of λ = 1 there is nothing to make."""


@pytest.fixture
def collected_quickly() -> Iterator[None]:
    """Between models the evaluator collects garbage: here without looking at all that was loaded before."""
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.__name__
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    lines = [f"  - model: {DEMO_FOLDER / f'order-{number}'}" for number in (1, 2, 3)]
    path.write_text(
        "\n".join(
            ["merge_method: parameter_selection", f"base_model: {DEMO_FOLDER / 'base'}", "models:", *lines]
        )
    )
    return path


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    path = tmp_path / "validation.jsonl"
    sentences = [line for line in (DEMO_FOLDER / "README.md").read_text().split() if line.isascii()]
    rows = [{"text": " ".join(sentences[3 * row : 3 * row + 9])} for row in range(ROWS)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_a_study_stopped_and_gone_on_with(
    tmp_path: Path,
    recipe: Path,
    validation: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    collected_quickly: None,
) -> None:
    import core.evaluate.evaluation as evaluation

    monkeypatch.setenv("PARAMOSAIC_DATA_DIR", str(tmp_path / "data"))
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    asked = ["study", str(recipe), "--validation", str(validation), "--n", "0,1", "--seeds", "1", "--no-soup"]
    asked += [
        "--lambda",
        "1",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--out",
        str(out),
        "--progress",
        str(events),
    ]
    scored: list[str] = []
    real = evaluation.score_model

    def counted(model, *args, **kwargs):  # type: ignore[no-untyped-def]
        if len(scored) == 3 and kwargs["cancel"] is not None and not events.with_name("stopped").exists():
            events.with_name("stopped").touch()
            kwargs["cancel"].cancel()
        found = real(model, *args, **kwargs)
        scored.append(model.name)
        return found

    monkeypatch.setattr(evaluation, "score_model", counted)
    assert main(desktop(), asked) == 130
    assert not (out / "study.json").exists()
    assert len(scored) == 3
    capsys.readouterr()
    assert main(desktop(), [*asked, "--json"]) == 0
    assert len(scored) == MODELS  # nothing twice
    assert from_json(capsys.readouterr().out) == read_study(out)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("data", "events.jsonl", "out", "recipe.yaml", "stopped", "validation.jsonl")
    }  # merges are gone
    study = read_study(out)
    assert [row.key for row in study.rows] == [
        *("base", "single", "average", "selection-n0", "selection-n1"),
        *("best-single", "average-scaled", "single-scaled", "average-float32"),
    ]
    assert study.n_samples == ROWS
    assert study.advice is not None
    assert 0.5 < study.advice.left[0] < 0.7
    assert study.sentence in (out / "table.md").read_text()
    shared = [path for path in out.rglob("*") if path.suffix in (".json", ".md", ".csv", ".yaml")]
    assert {path.parent.name for path in shared} >= {out.name, "recipes"}
    for path in shared:  # a study is shown to others
        assert str(tmp_path) not in path.read_text()
        assert f" {DEMO_FOLDER}" not in path.read_text()
    said = [json.loads(line) for line in events.read_text().splitlines()]
    kinds = [event["kind"] for event in said]
    assert kinds[0] == "began"
    assert kinds.count("cancelled") == 1
    assert kinds[-2:] == ["comparisons", "done"]
    _is_what_a_merge_and_a_plain_loop_give(tmp_path, out, validation, study.row("selection-n1"))


def _is_what_a_merge_and_a_plain_loop_give(tmp_path: Path, out: Path, validation: Path, row: object) -> None:
    """The recipe that the study left makes the model that it measured."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged = tmp_path / "merged"
    run_merge(plan_merge(load_recipe(out / "recipes" / "selection-n1-seed0.yaml")), merged)
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(merged)
    losses = []
    for sample in encode(read_data(validation), tokenizer, max_length=512, task="causal").samples:
        ids = torch.tensor(sample.ids[None].astype(np.int64))
        labels = torch.where(torch.tensor(sample.scored[None]), ids, -100)
        with torch.no_grad():
            losses.append(float(model(input_ids=ids, labels=labels).loss))
    assert row.loss.mean == pytest.approx(np.mean(losses), abs=1e-5)  # type: ignore[attr-defined]


def test_a_scale_of_one_is_the_average_within_rounding(tmp_path: Path, recipe: Path) -> None:
    from safetensors.torch import load_file

    family = family_of(load_recipe(recipe))
    found = []
    for model in (family.average(), family.scaled_average(1.0), family.scaled_single(1, 1.0)):
        assert model.recipe is not None
        run_merge(plan_merge(model.recipe), tmp_path / model.key)
        found.append(load_file(tmp_path / model.key / "model.safetensors"))
    average, scaled, single = found
    differ = total = 0
    for name, tensor in average.items():
        one, other = tensor.double(), scaled[name].double()
        assert ((one - other).abs() <= 2.0**-7 * one.abs()).all()  # a digit of bfloat16, and none near 0
        differ += int((one != other).sum())
        total += one.numel()
    assert differ < 0.01 * total
    model = load_file(DEMO_FOLDER / "order-2" / "model.safetensors")
    assert all((single[name] == tensor).float().mean() > 0.99 for name, tensor in model.items())


def test_bad_requests_are_one_sentence(
    tmp_path: Path, recipe: Path, validation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str) -> str:
        assert main(desktop(), ["study", *arguments, "--out", str(tmp_path / "out")]) in (1, 2)
        return capsys.readouterr().err

    given = [str(recipe), "--validation", str(validation)]
    assert "is no list of whole numbers from 0 to 100" in refused(*given, "--n", "1,x")
    assert "is no list of numbers" in refused(*given, "--lambda", "nan")
    assert "the scoring command is empty" in refused(*given, "--score-command", "")
    assert "float32" in refused(*given, "--float32", str(tmp_path / "float32"))
    assert "cannot read" in refused(str(recipe), "--validation", str(tmp_path / "none.jsonl"))
    one = tmp_path / "one.jsonl"
    one.write_text('{"text": "a row alone"}\n')
    said = refused(str(recipe), "--validation", str(one))
    assert f"{one} has too few rows (1 sample): half of them are chosen on, and half measured on" in said
    assert not (tmp_path / "out").exists()
    (tmp_path / "alone.yaml").write_text(
        f"merge_method: linear\nmodels:\n  - model: {DEMO_FOLDER / 'order-1'}\n"
        f"  - model: {DEMO_FOLDER / 'order-2'}\n"
    )
    said = refused(str(tmp_path / "alone.yaml"), "--validation", str(validation))
    assert "the recipe names none" in said
    assert "hint: add base_model" in said
    taken = tmp_path / "out"
    taken.mkdir(exist_ok=True)
    (taken / "notes.txt").write_text("mine")
