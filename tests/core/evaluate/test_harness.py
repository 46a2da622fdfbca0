"""Tasks of lm-evaluation-harness: what it says of each answer takes part in our verdicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
import venv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.cancel import CancelToken
from core.errors import Cancelled, DataError, MergeError
from core.evaluate.harness import evaluate_tasks
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore
from core.evaluate.verdict.comparing import compare
from core.progress import Share
from resources import DEMO_FOLDER

ROOT = Path(__file__).parents[3]
BASE, ONE = (str(DEMO_FOLDER / name) for name in ("base", "order-1"))
CPU = Settings(device="cpu", threads=1)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the harness's libraries read, and which is as it was afterwards."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


class StandIn:
    """Does as the package does, as far as it is used: each call answers for one model.

    Attributes:
        verdicts: what it says, a model after the other: samples by task.
        calls: what it was asked.
    """

    def __init__(self, verdicts: Sequence[dict[str, list[dict[str, Any]]]]) -> None:
        self.verdicts = list(verdicts)
        self.calls: list[dict[str, Any]] = []

    def simple_evaluate(self, *, model: Any, **asked: Any) -> dict[str, Any]:
        import torch

        print("chatter", file=sys.stderr)
        os.write(2, b"fatal: not a git repository\n")
        with torch.no_grad():
            model["pretrained"](torch.tensor([[0, 5]]))
        self.calls.append(asked)
        return {"samples": self.verdicts[len(self.calls) - 1], "group_subtasks": {"both": ["sums", "words"]}}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        package = types.ModuleType("lm_eval")
        package.simple_evaluate = self.simple_evaluate  # type: ignore[attr-defined]
        package.models = types.ModuleType("lm_eval.models")  # type: ignore[attr-defined]
        package.models.huggingface = types.ModuleType("lm_eval.models.huggingface")
        package.models.huggingface.HFLM = lambda **given: given
        package.tasks = types.ModuleType("lm_eval.tasks")  # type: ignore[attr-defined]
        package.tasks.TaskManager = lambda include_path: types.SimpleNamespace(
            all_tasks=["sums", "words", "both"], folders=include_path
        )
        for module in (package, package.models, package.models.huggingface, package.tasks):
            monkeypatch.setitem(sys.modules, module.__name__, module)


def samples(right: str, *, metric: str = "acc", filters: Sequence[str] = ("none",)) -> list[dict[str, Any]]:
    """One a letter of `right`, "x" for right, as the harness gives them; the last filter has all wrong."""
    return [
        {
            "doc_id": number,
            "doc": {"question": number},
            "target": "t",
            "doc_hash": f"d{number}",
            "target_hash": "t",
            "filter": name,
            "metrics": ["chrf", metric],
            "chrf": 0.5,
            metric: float(letter == "x" and (len(filters) == 1 or name != filters[-1])),
        }
        for name in filters
        for number, letter in reversed(list(enumerate(right)))
    ]


def test_answers_of_tasks_are_paired_by_question(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = "x.x." * 10, "xxx." * 10
    stand_in = StandIn(
        [{"sums": samples(one), "words": samples("xx")}, {"sums": samples(other), "words": samples("x.")}]
    )
    stand_in.install(monkeypatch)
    notes: list[str] = []
    found = evaluate_tasks([BASE, ONE], ["sums", "both"], settings=CPU, on_note=notes.append)
    assert capfd.readouterr().err == ""
    assert [(task.task, task.metric) for task in found] == [("sums", "acc"), ("both", "acc")]
    base, tuned = found[0].scores
    assert (base.name, tuned.name, len(base.loss)) == ("base", "order-1", 40)
    assert base.correct is not None
    assert base.correct.tolist() == [letter == "x" for letter in one]
    assert [scores.accuracy for scores in found[1].scores] == [22 / 42, 31 / 42]  # a group is all its tasks
    assert base.data_digest == tuned.data_digest != found[1].scores[0].data_digest
    (comparison,) = compare(base, [tuned])
    assert (comparison.measure, comparison.only_candidate_right, comparison.only_reference_right) == (
        "right answers",
        10,
        0,
    )
    assert comparison.verdict == "helps"
    assert comparison.mcnemar_p == pytest.approx(2 * 0.5**10)
    assert notes[0] == "sums: what is right is said by acc, of 40 questions"
    assert stand_in.calls[0]["log_samples"]


def test_the_first_filter_counts_and_a_task_file_names_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in = StandIn([{"words": samples("x.xx", metric="exact_match", filters=("strict", "flexible"))}])
    stand_in.install(monkeypatch)
    path = tmp_path / "own.yaml"
    path.write_text("include: other\ntask: words\nprocess_docs: !function utils.prepare\n")
    (found,) = evaluate_tasks([BASE], [str(path)], settings=CPU)
    assert found.metric == "exact_match (strict)"
    assert found.scores[0].accuracy == 0.75
    assert stand_in.calls[0]["task_manager"].folders == [str(tmp_path)]


def test_what_cannot_be_done_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lm_eval", None)
        with pytest.raises(MergeError, match="lm-evaluation-harness is not installed") as refused:
            evaluate_tasks([BASE], ["sums"], settings=CPU)
        assert "pip install 'lm-eval[hf]'" in (refused.value.hint or "")
    StandIn([]).install(monkeypatch)
    with pytest.raises(DataError, match="knows no task 'sum'") as unknown:
        evaluate_tasks([BASE], ["sum"], settings=CPU)
    assert unknown.value.hint == "did you mean 'sums'?"
    (tmp_path / "no.yaml").write_text("a: b\n")
    with pytest.raises(DataError, match="no line task: NAME"):
        evaluate_tasks([BASE], [str(tmp_path / "no.yaml")], settings=CPU)
    StandIn([{"sums": [{"doc_id": 0, "filter": "none", "metrics": ["chrf"], "chrf": 0.5}]}]).install(
        monkeypatch
    )
    with pytest.raises(DataError, match="says of no answer whether it is right: it has 'chrf'"):
        evaluate_tasks([BASE], ["sums"], settings=CPU)
    token = CancelToken()
    StandIn([{"sums": samples("x")}]).install(monkeypatch)
    with pytest.raises(Cancelled, match="evaluation"):
        evaluate_tasks([BASE], ["sums"], settings=CPU, progress=lambda share: token.cancel(), cancel=token)


@pytest.fixture(scope="module")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo's first model without its chat template."""
    return without_template(ONE, tmp_path_factory.mktemp("models") / "bare")


def without_template(model: str, place: Path) -> str:
    """A copy of a model that has no chat template."""
    shutil.copytree(model, place)
    (place / "chat_template.jinja").unlink()
    return str(place)


def test_chat_models_are_asked_through_their_template(
    monkeypatch: pytest.MonkeyPatch, bare_model: str
) -> None:
    stand_in = StandIn([{"sums": samples("x.")}] * 5)
    stand_in.install(monkeypatch)
    notes: list[str] = []
    (found,) = evaluate_tasks([bare_model, BASE], ["sums"], settings=CPU, on_note=notes.append)
    assert [call["apply_chat_template"] for call in stand_in.calls] == [False, True]
    assert [one.settings["chat_template"] for one in found.scores] == [False, True]
    assert [bool(one.notes) for one in found.scores] == [False, True]
    assert notes[-1].startswith("questions went through the chat template of base, and without one to bare: ")
    evaluate_tasks([BASE], ["sums"], settings=CPU, on_note=notes.append)
    assert notes[-1] == "questions went through the chat template of each model"
    told = len(notes)
    evaluate_tasks([bare_model], ["sums"], settings=CPU, on_note=notes.append)
    assert "template" not in "".join(notes[told:])
    evaluate_tasks([BASE], ["sums"], settings=replace(CPU, chat_prompts=False))
    assert stand_in.calls[-1]["apply_chat_template"] is False


def test_a_stop_loses_nothing_of_the_models_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store, token = ScoreStore(tmp_path / "scores"), CancelToken()
    said = [
        {"sums": samples("x.x"), "words": samples("xx")},
        {"sums": samples("xxx"), "words": samples(".x")},
    ]
    StandIn(said[:1]).install(monkeypatch)

    def stop(share: Share) -> None:
        if share.fraction:
            token.cancel()

    with pytest.raises(Cancelled):
        evaluate_tasks([BASE, ONE], ["sums", "words"], settings=CPU, store=store, progress=stop, cancel=token)
    second = StandIn(said[1:])
    second.install(monkeypatch)
    found = evaluate_tasks([BASE, ONE], ["sums", "words"], settings=CPU, store=store)
    assert len(second.calls) == 1
    whole = StandIn(said)
    whole.install(monkeypatch)
    anew = evaluate_tasks([BASE, ONE], ["sums", "words"], settings=CPU)
    for task, other in zip(found, anew, strict=True):
        assert (task.task, task.metric) == (other.task, other.metric)
        for one, again in zip(task.scores, other.scores, strict=True):
            assert (one.data_digest, one.model_digest, one.settings, one.max_length) == (
                *(again.data_digest, again.model_digest, again.settings),
                again.max_length,
            )
            assert one.correct is not None
            assert again.correct is not None
            assert one.correct.tolist() == again.correct.tolist()
    # Another task is asked alone; other settings, and who asks for it, ask anew.
    third = StandIn([{"both": samples("x")}, {"sums": samples("x")}, {"sums": samples("x")}])
    third.install(monkeypatch)
    evaluate_tasks([ONE], ["sums", "both"], settings=CPU, store=ScoreStore(store.folder))
    evaluate_tasks([ONE], ["sums"], settings=replace(CPU, limit=1), store=store)
    evaluate_tasks([ONE], ["sums"], settings=CPU, store=store, recompute=True)
    assert [call["tasks"] for call in third.calls] == [["both"], ["sums"], ["sums"]]


def test_kept_answers_to_other_questions_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = ScoreStore(tmp_path)
    StandIn([{"sums": samples("x.x")}]).install(monkeypatch)
    evaluate_tasks([BASE], ["sums"], settings=CPU, store=store)
    other = [one | {"doc_hash": "new"} for one in samples("...")]
    stand_in = StandIn([{"sums": other}, {"sums": other}])
    stand_in.install(monkeypatch)
    notes: list[str] = []
    (found,) = evaluate_tasks([BASE, ONE], ["sums"], settings=CPU, store=store, on_note=notes.append)
    assert [one.accuracy for one in found.scores] == [0, 0]
    assert found.scores[0].data_digest == found.scores[1].data_digest
    assert "the questions of sums are others than they were, and are asked again" in notes
    assert len(stand_in.calls) == 2


@pytest.mark.parametrize("changed", ["own.yaml", "shared.yaml", "rows.jsonl", "utils.py"])
def test_a_task_file_that_changed_is_another_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str
) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "own.yaml").write_text("include: shared.yaml\ntask: words\n")
    (folder / "shared.yaml").write_text("dataset_kwargs:\n  data_files: {test: rows.jsonl}\n")
    (folder / "rows.jsonl").write_text("{}\n")
    (folder / "utils.py").write_text("")
    (folder / "large.yaml").write_text("# not ours\n" * 200_000)
    store = ScoreStore(tmp_path / "scores")
    for calls in (1, 0, 1):
        stand_in = StandIn([{"words": samples("x")}])
        stand_in.install(monkeypatch)
        evaluate_tasks([BASE], [str(folder / "own.yaml")], settings=CPU, store=store)
        assert len(stand_in.calls) == calls
        if not calls:
            with (folder / changed).open("a") as file:
                file.write("# more\n")


@pytest.mark.slow
def test_the_package_itself_says_which_answers_are_right(tmp_path: Path) -> None:
    """With the real package, in an environment of its own that sees ours; the right choice is the
    likeliest."""
    place = Path(tempfile.gettempdir()) / "paramosaic-lm-eval-0.4.13"
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not (place / "done").exists():
        venv.create(place, with_pip=True)
        where = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        )
        import numpy

        (Path(where.decode().strip()) / "ours.pth").write_text(str(Path(numpy.__file__).parents[1]))
        subprocess.run([python, "-m", "pip", "install", "-q", "lm-eval==0.4.13"], check=True)
        (place / "done").touch()
    words = ["list", "stream", "names", "value"]
    rows = [
        {
            "question": f"The method returns the {word} of",
            "choices": [f"the {other}" for other in words],
            "answer": 2,
        }
        for word in words
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "sums.yaml").write_text(
        f"task: sums\ndataset_path: json\ndataset_kwargs:\n  data_files: {tmp_path / 'rows.jsonl'}\n"
        "test_split: train\noutput_type: multiple_choice\ndoc_to_text: '{{question}}'\n"
        "doc_to_choice: '{{choices}}'\ndoc_to_target: answer\nmetric_list:\n  - metric: acc\n"
    )
    bare = [without_template(model, tmp_path / Path(model).name) for model in (BASE, ONE)]
    folders = {"HF_HOME": str(tmp_path / "hub"), "PARAMOSAIC_DATA_DIR": str(tmp_path / "kept")}

    def evaluated(*models: str) -> tuple[dict[str, Any], str]:
        asked = ["evaluate", *models, "--task", str(tmp_path / "sums.yaml"), "--device", "cpu", "--json"]
        ran = subprocess.run(
            [python, "-m", "gui.entry", *asked],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **folders},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)["tasks"][0], ran.stderr

    document, _ = evaluated(*bare)
    import torch
    import transformers

    for model, path in zip(document["models"], bare, strict=True):
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        net = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        right = 0
        for row in rows:
            costs = []
            for choice in row["choices"]:
                before = tokenizer(row["question"])["input_ids"]
                after = tokenizer(f"{row['question']} {choice}")["input_ids"][len(before) :]
                with torch.no_grad():
                    logits = net(torch.tensor([before + after])).logits[0].log_softmax(-1)
                costs.append(
                    sum(float(logits[len(before) - 1 + at, token]) for at, token in enumerate(after))
                )
            right += costs.index(max(costs)) == row["answer"]
        assert model["accuracy"] == right / len(rows)
    assert document["comparisons"][0]["verdict"] == "too few to say"
    again, _ = evaluated(*bare)
    assert again == document  # seconds, too: they were not asked again
    with_template, said = evaluated(BASE)
    assert with_template["settings"]["chat_template"] is True
    assert "questions went through the chat template of each model" in said
