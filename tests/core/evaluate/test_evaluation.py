"""Several models on one data set: nothing twice, nothing lost, and answers that are the model's own."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import core.disk
import core.evaluate.progress_reporter
import core.evaluate.store.partial_scores
from core.cancel import CancelToken
from core.data.rows import DataSet, read_data
from core.errors import Cancelled, CheckpointError, DataError, IncompatibleError, MergeError
from core.evaluate import evaluation
from core.evaluate.answers.matching import is_match, normal_answer
from core.evaluate.evaluation import evaluate_models
from core.evaluate.losses.scoring import score_model
from core.evaluate.models.loading import load_model
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore
from core.plan.planning import plan_merge
from core.progress import Share
from core.recipe.file import load_recipe
from core.run.merge import run_merge
from resources import DEMO_FOLDER

MODELS = [str(DEMO_FOLDER / name) for name in ("base", "order-1", "order-2")]
WORDS = [
    *("the", "module", "returns", "a", "list", "of", "names", "if"),
    *("value", "is", "None", "raises", "ValueError", "else", "copies"),
]
CPU = Settings(device="cpu", threads=1, batch_tokens=120)


def lines(path: Path, rows: list[dict[str, Any]]) -> DataSet:
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_data(path)


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    """10 rows of 3 to 21 words."""
    found = np.random.default_rng(5)
    return lines(
        tmp_path / "data.jsonl", [{"text": " ".join(found.choice(WORDS, 3 + 2 * row))} for row in range(10)]
    )


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "scores")


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many samples each pass through a model had."""
    seen: list[int] = []
    whole = transformers.LlamaModel.forward

    def counted(self: Any, input_ids: Any = None, **beside: Any) -> Any:
        seen.append(len(input_ids))
        return whole(self, input_ids, **beside)

    monkeypatch.setattr(transformers.LlamaModel, "forward", counted)
    return seen


def test_models_are_evaluated_once_and_in_order(
    data: DataSet, store: ScoreStore, forwards: list[int]
) -> None:
    told: list[str] = []
    shares: list[Share] = []
    first = evaluate_models(
        MODELS[:2],
        data,
        settings=CPU,
        store=store,
        on_scores=lambda scores: told.append(scores.name),
        progress=shares.append,
    )
    assert told == ["base", "order-1"]
    assert forwards
    assert [share.fraction for share in shares] == sorted(share.fraction for share in shares)
    assert (shares[-1].fraction, shares[-1].remaining_s) == (1.0, 0.0)
    assert [(scores.path, scores.data_digest) for scores in first] == [
        (path, data.digest) for path in MODELS[:2]
    ]
    with load_model(MODELS[1], settings=CPU) as model:
        alone = score_model(model, data, replace(CPU, batch_tokens=1))
    np.testing.assert_allclose(first[1].loss, alone.loss, atol=1e-5, rtol=0)
    assert not np.allclose(first[0].loss, first[1].loss)

    forwards.clear()
    again = evaluate_models(
        MODELS[:2], data, settings=replace(CPU, threads=2), store=ScoreStore(store.folder)
    )
    assert not forwards
    assert [scores.loss.tobytes() for scores in again] == [scores.loss.tobytes() for scores in first]
    third = evaluate_models([MODELS[1], MODELS[0], MODELS[1]], data, settings=CPU, store=store)
    assert [scores.name for scores in third] == ["order-1", "base", "order-1"]
    assert not forwards
    assert third[0].loss.tobytes() == third[2].loss.tobytes() == first[1].loss.tobytes()
    store.put(replace(first[0], notes=("line 3 is cut",)), data=data.path)
    notes: list[str] = []
    evaluate_models(MODELS[:1], data, settings=CPU, store=store, on_note=notes.append)
    assert not forwards
    assert notes == ["line 3 is cut"]
    evaluate_models(MODELS[:1], data, settings=CPU, store=store, recompute=True)
    assert forwards


def recipe_and_merged(folder: Path) -> tuple[str, Path]:
    """A recipe, and what a merge has made of it."""
    recipe = folder / "both.yaml"
    recipe.write_text(f"merge_method: linear\nmodels:\n- model: {MODELS[1]}\n- model: {MODELS[2]}\n")
    merged = folder / "merged"
    run_merge(plan_merge(load_recipe(recipe)), merged)
    return str(recipe), merged


def test_a_recipe_and_the_model_that_it_made_are_scored_once(
    data: DataSet, store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    recipe, merged = recipe_and_merged(tmp_path)
    settings = replace(CPU, work_folder=tmp_path)
    (first,) = evaluate_models([recipe], data, settings=settings, store=store)
    assert forwards
    forwards.clear()
    (second,) = evaluate_models([str(merged)], data, settings=settings, store=ScoreStore(store.folder))
    assert not forwards
    assert second.loss.tobytes() == first.loss.tobytes()
    assert second.model_digest != first.model_digest

    other = ScoreStore(tmp_path / "others")
    (merged_first,) = evaluate_models([str(merged)], data, settings=settings, store=other)
    forwards.clear()
    (found,) = evaluate_models([recipe], data, settings=settings, store=other)
    assert not forwards
    assert (found.loss.tobytes(), found.name) == (merged_first.loss.tobytes(), "both")
    evaluate_models([recipe], data, settings=settings, store=other, recompute=True)
    assert forwards


def test_a_model_that_was_changed_since_it_was_made_is_scored_itself(
    data: DataSet, store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    """Its record still says what it was made of."""
    recipe, merged = recipe_and_merged(tmp_path)
    (first,) = evaluate_models([recipe], data, settings=CPU, store=store)
    forwards.clear()
    shutil.copy(Path(MODELS[1]) / "model.safetensors", merged / "model.safetensors")
    (second,) = evaluate_models([str(merged)], data, settings=CPU, store=store)
    assert forwards
    assert not np.array_equal(second.loss, first.loss)


def test_more_rows_of_a_recipe_are_known_of_the_model_that_it_made(
    data: DataSet, store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    recipe, merged = recipe_and_merged(tmp_path)
    few = read_data(data.path, limit=6)
    evaluate_models([str(merged)], few, settings=replace(CPU, limit=6), store=store)
    beside = sum(forwards) - 6  # what a model's first batch is looked at with
    forwards.clear()
    (found,) = evaluate_models([recipe], data, settings=CPU, store=store)
    assert sum(forwards) - beside == 4
    (whole,) = evaluate_models([recipe], data, settings=CPU)
    np.testing.assert_allclose(found.loss, whole.loss, atol=1e-5, rtol=0)


def test_more_rows_cost_only_their_own(
    data: DataSet, store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    few = read_data(data.path, limit=4)
    (of_few,) = evaluate_models(MODELS[1:2], few, settings=replace(CPU, limit=4), store=store)
    beside = sum(forwards) - 4  # what a model's first batch is looked at with
    forwards.clear()
    (whole,) = evaluate_models(MODELS[1:2], data, settings=CPU, store=store)
    assert sum(forwards) - beside == 6
    assert whole.loss[:4].tobytes() == of_few.loss.tobytes()
    (alone,) = evaluate_models(MODELS[1:2], data, settings=CPU)
    np.testing.assert_allclose(whole.loss, alone.loss, atol=1e-5, rtol=0)
    assert whole.tokens.tolist() == alone.tokens.tolist()
    forwards.clear()
    (fewer,) = evaluate_models(
        MODELS[1:2], read_data(data.path, limit=2), settings=replace(CPU, limit=2), store=store
    )
    assert not forwards
    assert fewer.loss.tobytes() == whole.loss[:2].tobytes()
    # With another greatest length a row's loss may be another one.
    evaluate_models(MODELS[1:2], data, settings=replace(CPU, max_length=16), store=store)
    assert sum(forwards) - beside >= 10


def test_answers_cost_no_losses_that_are_known(
    store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{word} is", "response": "a list of names"} for word in WORDS[:5]]
    data = lines(tmp_path / "asked.jsonl", rows)
    asks = replace(CPU, exact_match=True, max_new_tokens=2)
    (fresh,) = evaluate_models(MODELS[1:2], data, settings=asks)
    all_of_it = sum(forwards)
    forwards.clear()
    (plain,) = evaluate_models(MODELS[1:2], data, settings=CPU, store=store)
    losses = sum(forwards)
    forwards.clear()
    (answered,) = evaluate_models(MODELS[1:2], data, settings=asks, store=store)
    assert 0 < sum(forwards) == all_of_it - losses
    assert answered.loss.tobytes() == plain.loss.tobytes()
    assert answered.correct is not None
    assert fresh.correct is not None
    assert answered.correct.tolist() == fresh.correct.tolist()
    forwards.clear()
    fewer = replace(asks, limit=3)
    evaluate_models(MODELS[1:2], read_data(data.path, limit=3), settings=fewer, store=store)
    assert not forwards


def test_other_data_and_a_changed_model_are_computed(
    data: DataSet, store: ScoreStore, forwards: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER / "order-1", folder)
    (before,) = evaluate_models([str(folder)], data, settings=CPU, store=store)
    digest = store.digest_of(folder)
    assert digest is not None
    assert [known.scores.path for known in store.for_digest(digest)] == [str(folder)]
    shutil.copy(DEMO_FOLDER / "order-2" / "model.safetensors", folder / "model.safetensors")
    assert store.digest_of(folder) is None
    (after,) = evaluate_models([str(folder)], data, settings=CPU, store=store)
    assert not np.array_equal(before.loss, after.loss)
    forwards.clear()
    (other,) = evaluate_models(MODELS[2:], data, settings=CPU, store=store)  # the same bytes elsewhere
    assert not forwards
    assert (other.name, other.loss.tobytes()) == ("order-2", after.loss.tobytes())
    other_data = lines(tmp_path / "other.jsonl", [{"text": "the list of names"}])
    evaluate_models(MODELS[2:], other_data, settings=CPU, store=store)
    assert forwards


@pytest.mark.parametrize("at", [0.2, 0.7], ids=["among the losses", "among the answers"])
def test_a_cancelled_evaluation_goes_on_where_it_was(
    store: ScoreStore, forwards: list[int], at: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"prompt": " ".join(WORDS[: 2 + row]) + ":", "response": " the list of " + WORDS[row]}
        for row in range(7)
    ]
    data = lines(tmp_path / "answers.jsonl", rows)
    settings = replace(CPU, batch_tokens=24, exact_match=True, max_new_tokens=2)
    token = CancelToken()

    def stop(share: Share) -> None:
        if share.fraction > at:
            token.cancel()

    forwards.clear()
    monkeypatch.setattr(core.evaluate.progress_reporter, "TELL_EVERY_S", 0.0)
    with pytest.raises(Cancelled):
        evaluate_models(MODELS[:1], data, settings=settings, store=store, progress=stop, cancel=token)
    begun = sum(forwards)
    assert begun
    assert not store.all()
    forwards.clear()
    (on,) = evaluate_models(MODELS[:1], data, settings=settings, store=ScoreStore(store.folder))
    rest = sum(forwards)
    forwards.clear()
    (whole,) = evaluate_models(MODELS[:1], data, settings=settings)
    assert 0 < rest < sum(forwards) - begun / 3  # what looks at the model's layers first is done again
    np.testing.assert_allclose(on.loss, whole.loss, atol=1e-5, rtol=0)
    assert np.array_equal(on.tokens, whole.tokens)
    assert on.correct is not None
    assert np.array_equal(on.correct, whole.correct)
    assert not list(store.folder.glob("*.begun"))


def test_finished_rows_are_kept_while_it_runs(
    data: DataSet, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed process leaves: nothing that is written when it ends."""
    monkeypatch.setattr(core.evaluate.store.partial_scores, "KEEP_EVERY_S", 0.0)
    kept: list[int] = []
    put = ScoreStore.put_partial

    def counted(self: ScoreStore, key: str, begun: Any) -> None:
        put(self, key, begun)
        found = ScoreStore(self.folder).partial(key)
        assert found is not None
        assert found.losses is not None
        kept.append(len(found.losses.rows))

    monkeypatch.setattr(ScoreStore, "put_partial", counted)
    evaluate_models(MODELS[:1], data, settings=CPU, store=store)
    assert kept == sorted(kept)
    assert len(kept) > 2
    assert kept[-1] == 10


# -- exact match


def greedy(model: Any, ids: list[int], most: int, ends: set[int]) -> list[int]:
    """One prompt, one token at a time, without a cache, a batch or padding."""
    said: list[int] = []
    while len(said) < most:
        with torch.no_grad():
            following = int(model(torch.tensor([ids + said])).logits[0, -1].argmax())
        if following in ends:
            break
        said.append(following)
    return said


def squad(text: str) -> str:
    """Normalised word by word, as the rule is worded."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(word for word in kept.split() if word not in ("a", "an", "the"))


@pytest.mark.parametrize("kind", ["prompt", "chat"])
def test_answers_are_those_of_a_plain_greedy_loop(kind: str, store: ScoreStore, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER / "order-1", tmp_path / "own"))
    own = json.loads((folder / "generation_config.json").read_text())
    changed = own | {"repetition_penalty": 1.5, "do_sample": True, "temperature": 0.5}
    (folder / "generation_config.json").write_text(json.dumps(changed))  # which has no say
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    texts = [" ".join(WORDS[row : row + 1 + row]) for row in range(6)]
    said, rows = [], []
    for number, text in enumerate(texts):
        turns = [{"role": "user", "content": "so"}, {"role": "assistant", "content": "yes"}][
            : 2 * (number % 2)
        ]
        turns = [*turns, {"role": "user", "content": text}]
        if kind == "chat":
            shown = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(shown, add_special_tokens=False)["input_ids"]
        else:
            ids = tokenizer(text)["input_ids"]
        answer = tokenizer.decode(greedy(model, ids, 4, {tokenizer.eos_token_id}))
        said.append(answer)
        expected = f"The {answer.strip().splitlines()[0].upper()}!" if number % 3 else "something else"
        if kind == "chat":
            rows.append({"messages": [*turns, {"role": "assistant", "content": expected}]})
        else:
            rows.append({"prompt": text, "response": expected})
    data = lines(tmp_path / "data.jsonl", rows)
    settings = replace(CPU, exact_match=True, max_new_tokens=4, chat_prompts=False)
    answers = []
    for batch in (1, 90) if kind == "chat" else (90,):
        evaluated = ScoreStore(tmp_path / f"scores-{batch}")
        (scores,) = evaluate_models(
            [str(folder)], data, settings=replace(settings, batch_tokens=batch), store=evaluated
        )
        assert scores.correct is not None
        assert scores.correct.tolist() == [bool(number % 3) for number in range(6)]
        answers.append(evaluated.all()[0].answers)
    assert set(answers) == {tuple(said)}


def test_answers_that_an_older_rule_took_for_right_are_compared_again(
    store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lines(tmp_path / "data.jsonl", [{"prompt": word, "response": "1/2"} for word in WORDS[:3]])
    settings = replace(CPU, exact_match=True, max_new_tokens=2)
    with monkeypatch.context() as before:
        before.setattr("core.evaluate.settings._MATCH", 1)
        before.setattr("core.evaluate.evaluation.is_match", lambda said, expected: True)
        (scores,) = evaluate_models([str(DEMO_FOLDER / "order-1")], data, settings=settings, store=store)
    assert scores.accuracy == 1

    def refuse(*_: object) -> list[str]:
        raise AssertionError("they are known")

    monkeypatch.setattr("core.evaluate.answers.exact_match._said", refuse)
    (scores,) = evaluate_models([str(DEMO_FOLDER / "order-1")], data, settings=settings, store=store)
    assert scores.accuracy == 0


@pytest.mark.parametrize(
    ("said", "expected", "right"),
    [
        (" Paris.", "paris", True),
        ("The  Eiffel\tTower!", "eiffel tower", True),
        ("paris, france", "paris", False),
        ("theory", "ory", False),
        ("\n42\nQuestion: and then?", "42", True),
        ("42\n43", "42\n43", True),
        ("42\n44", "42\n43", False),
        ("B", "A", False),
        ("the", "A", False),  # nothing is left of either
        (" a ", "A", True),
        ("", "A", False),
        ("?", "!", False),
        ("été", "ÉTÉ", True),
        ("", "x", False),
    ],
)
def test_what_counts_as_the_same_answer(said: str, expected: str, right: bool) -> None:
    assert is_match(said, expected) is right
    assert normal_answer(said) == squad(said)


# -- refusals


def test_data_without_answers_are_refused_before_any_model_is_loaded(data: DataSet, tmp_path: Path) -> None:
    asked = replace(CPU, exact_match=True)
    with pytest.raises(DataError, match="has texts, and exact match compares answers"):
        evaluate_models(["not-there"], data, settings=asked)
    rows = [{"prompt": "a", "response": "b"}, {"prompt": "a", "response": " "}]
    with pytest.raises(DataError, match="line 2 has no answer"):
        evaluate_models(["not-there"], lines(tmp_path / "d.jsonl", rows), settings=asked)


def test_a_classifier_beside_a_language_model_is_one_sentence(data: DataSet, tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(DEMO_FOLDER / "base", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"architectures": ["LlamaForSequenceClassification"]})
    )
    with pytest.raises(IncompatibleError, match="judge is a classifier and base is a language model"):
        evaluate_models([MODELS[0], str(folder)], data, settings=CPU)
    recipe = tmp_path / "judges.yaml"
    recipe.write_text("merge_method: linear\nmodels: [{model: judge}]\n")
    with pytest.raises(IncompatibleError, match="judges is a classifier and base is a language model"):
        evaluate_models([MODELS[0], str(recipe)], data, settings=CPU)


def test_a_model_that_is_not_there_is_found_before_any_is_loaded(
    data: DataSet, forwards: list[int], store: ScoreStore
) -> None:
    with pytest.raises(MergeError, match="not-there"):
        evaluate_models([MODELS[0], "not-there"], data, settings=CPU, store=store)
    assert not forwards


def test_prompts_leave_room_for_the_answer(tmp_path: Path) -> None:
    rows = [{"prompt": "the list of names " * 200, "response": "x"}, {"prompt": "the", "response": "x"}]
    data = lines(tmp_path / "data.jsonl", rows)
    notes: list[str] = []
    settings = replace(CPU, exact_match=True, max_new_tokens=9, batch_tokens=1000)
    evaluate_models(MODELS[:1], data, settings=settings, on_note=notes.append)
    assert "base: 1 prompt loses its beginning, so that an answer has room behind" in notes
    with pytest.raises(MergeError, match="takes 256 tokens at once"):
        evaluate_models(MODELS[:1], data, settings=replace(settings, max_new_tokens=256))


def test_a_file_of_the_same_bytes_that_is_read_otherwise_has_scores_of_its_own(
    store: ScoreStore, tmp_path: Path
) -> None:
    rows = lines(tmp_path / "data.jsonl", [{"text": "the list"}, {"text": "of names"}])
    shutil.copy(tmp_path / "data.jsonl", tmp_path / "data.txt")
    passages = read_data(tmp_path / "data.txt")
    assert rows.digest == passages.digest
    (first,) = evaluate_models(MODELS[:1], rows, settings=CPU, store=store)
    (other,) = evaluate_models(MODELS[:1], passages, settings=CPU, store=store)
    assert first.mean_loss != other.mean_loss


def test_a_disk_that_is_full_costs_no_scores(
    data: DataSet, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(core.disk.system, "write", full)
    monkeypatch.setattr(core.evaluate.store.partial_scores, "KEEP_EVERY_S", 0.0)
    notes: list[str] = []
    (scores,) = evaluate_models(MODELS[:1], data, settings=CPU, store=store, on_note=notes.append)
    assert np.isfinite(scores.loss).all()
    assert any("the scores of base are not kept" in note and "No space left" in note for note in notes)


@pytest.mark.parametrize("when", ["before it is loaded", "while it is scored"])
def test_a_model_that_changes_leaves_no_scores_under_the_name_of_what_it_was(
    when: str, data: DataSet, store: ScoreStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving = tmp_path / "moving"
    shutil.copytree(DEMO_FOLDER / "order-2", moving)

    def changing(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            shutil.copy(DEMO_FOLDER / "order-5" / "model.safetensors", moving / "model.safetensors")
            return function(*arguments, **named)

        return call

    name = "load_folder" if when == "before it is loaded" else "score_model"
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, name, changing(getattr(evaluation, name)))
        with pytest.raises(CheckpointError, match="moving was changed while it was evaluated"):
            evaluate_models([str(moving)], data, settings=CPU, store=store)
    assert store.all() == ()
    # What comes next under the old digest is that model's own.
    (found,) = evaluate_models([str(DEMO_FOLDER / "order-2")], data, settings=CPU, store=store)
    (alone,) = evaluate_models([str(DEMO_FOLDER / "order-2")], data, settings=CPU, store=None)
    assert np.array_equal(found.loss, alone.loss)
