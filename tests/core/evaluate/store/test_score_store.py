"""What is kept of scores: it comes back as it was, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from made_scores import made_scores

import core.evaluate.models.digests
from core.cancel import CancelToken
from core.data.rows import DataSet, Row
from core.errors import Cancelled, CheckpointError, MergeError, OutputError
from core.evaluate.models.digests import FileDigests, model_digest, reference_digest
from core.evaluate.scores import RowLosses, Scores
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import PartialScores, ScoreStore, score_key
from core.evaluate.store.taken_over import taken_over, with_more
from resources import DEMO_FOLDER


def make_scores(rows: int = 5, **changes: object) -> Scores:
    found = np.random.default_rng(3)
    loss = found.lognormal(size=rows)
    loss[0] = np.nan
    scores = made_scores(
        "run 1 – \udcff",  # a folder whose name is no text
        loss,
        path="runs/1",
        model_digest="ab" * 16,
        data_digest="cd" * 16,
        settings=Settings().key(),
        tokens=found.integers(0, 90, rows),
        text_bytes=found.integers(0, 900, rows),
        lines=np.arange(2, rows + 2),
        tokenizer_digest="ef" * 16,
        seconds=1.25,
        notes=("one", "two"),
    )
    return replace(scores, **changes)  # type: ignore[arg-type]


def same(one: Scores, other: Scores) -> bool:
    for item in fields(Scores):
        mine, theirs = getattr(one, item.name), getattr(other, item.name)
        if isinstance(mine, np.ndarray):
            if mine.dtype != theirs.dtype or mine.tobytes() != theirs.tobytes():
                return False
        elif mine != theirs:
            return False
    return True


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "data" / "scores")


# -- scores


def test_scores_come_back_bit_for_bit(store: ScoreStore) -> None:
    plain, right = make_scores(), make_scores(4, correct=np.array([1, 0, 0, 1], bool), model_digest="1" * 32)
    first = store.put(plain, data="some/data.jsonl")
    second = store.put(right, answers=("4", "vier", "", "\udcff\n"))
    for seen in (store, ScoreStore(store.folder)):  # the second has only the files
        found, answered = seen.stored(first), seen.stored(second)
        assert found is not None
        assert answered is not None
        assert same(found.scores, plain)
        assert same(answered.scores, right)
        assert (found.data, found.answers) == (Path("some/data.jsonl").absolute(), None)
        assert answered.answers == ("4", "vier", "", "\udcff\n")
        assert {known.key for known in seen.all()} == {first, second}


def test_what_makes_other_numbers_makes_another_key() -> None:
    plain = Settings()
    keys = [score_key(model, data, plain.key()) for model in ("a", "b") for data in ("a", "b")]
    others = [
        replace(plain, dtype="bfloat16"),
        replace(plain, max_length=100),
        replace(plain, limit=3),
        replace(plain, exact_match=True),
        replace(plain, exact_match=True, max_new_tokens=5),
    ]
    keys += [score_key("a", "a", other.key()) for other in others]
    assert len(set(keys)) == len(keys)
    for other in (
        replace(plain, batch_tokens=7),
        replace(plain, threads=1),
        replace(plain, max_new_tokens=5),
    ):
        assert score_key("a", "a", other.key()) == keys[0]


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04", b"{}", None])
def test_a_damaged_file_is_not_there_and_is_left_alone(store: ScoreStore, spoilt: bytes | None) -> None:
    key = store.put(make_scores())
    store.put(make_scores(model_digest="2" * 32))
    (path,) = store.folder.glob(f"{key}*")
    content = path.read_bytes()
    spoilt = content[: len(content) // 2] if spoilt is None else spoilt
    path.write_bytes(spoilt)
    assert store.get(key) is None
    assert len(store.all()) == 1
    assert path.read_bytes() == spoilt
    path.write_bytes(content)
    assert store.get(key) is not None


def test_scores_under_a_key_that_is_not_theirs_are_not_believed(store: ScoreStore) -> None:
    key = store.put(make_scores())
    other = score_key("9" * 32, "cd" * 16, Settings().key())
    shutil.copy(store.folder / f"{key}.scores", store.folder / f"{other}.scores")
    assert store.get(other) is None


def test_a_process_killed_while_it_writes_leaves_what_was_there(store: ScoreStore) -> None:
    """It dies between the bytes and the rename, which is where most of the time goes."""
    key = store.put(make_scores())
    killed = (
        "import os, sys, signal, core.disk as disk\n"
        "from core.evaluate.store.score_store import ScoreStore\n"
        "store = ScoreStore(sys.argv[1])\n"
        "scores = store.get(sys.argv[2])\n"
        "disk.system.rename = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.put(scores, data='other')\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(store.folder), key], check=False)
    assert ended.returncode != 0
    assert len(list(store.folder.glob("*.partial"))) == 1  # it did come as far
    found = ScoreStore(store.folder).stored(key)
    assert found is not None
    assert same(found.scores, make_scores())
    assert found.data == Path().absolute()
    assert len(store.all()) == 1


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot keep scores in"):
        ScoreStore(tmp_path / "file").put(make_scores())


# -- begun


def test_what_is_begun_comes_back_until_it_is_whole(store: ScoreStore) -> None:
    scores = make_scores()
    rows = RowLosses(
        rows=np.array([3, 1]),
        loss=scores.loss[[3, 1]],
        tokens=scores.tokens[[3, 1]],
        text_bytes=scores.text_bytes[[3, 1]],
        correct=np.array([True, False]),
    )
    key = score_key(scores.model_digest, scores.data_digest, scores.settings)
    assert store.partial(key) is None
    store.put_partial(key, PartialScores(rows, {4: "yes", 0: "né\n"}, 12.5))
    found = store.partial(key)
    assert found is not None
    assert found.losses is not None
    for item in fields(RowLosses):
        mine, theirs = getattr(rows, item.name), getattr(found.losses, item.name)
        assert mine.tobytes() == theirs.tobytes()
    assert (found.answers, found.seconds) == ({4: "yes", 0: "né\n"}, 12.5)
    assert not store.all()
    assert store.partial("0" * 32) is None
    store.put(scores)
    assert store.partial(key) is None


def test_what_is_begun_and_damaged_begins_again(store: ScoreStore) -> None:
    store.put_partial("ab", PartialScores(None, {1: "x"}, 1.0))
    (path,) = store.folder.glob("*.begun")
    shutil.copy(path, store.folder / "cd.begun")
    assert store.partial("cd") is None  # of another key
    path.write_bytes(path.read_bytes()[:-40])
    assert store.partial("ab") is None


# -- digests of models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER / "order-1", folder)
    return folder


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_a_changed_file_of_a_model_is_seen(model: Path, name: str, tmp_path: Path) -> None:
    digests = FileDigests(tmp_path / "digests.json")
    before = reference_digest(str(model), digests)
    path = model / name
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1  # as long as before
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as programs that copy do
    assert reference_digest(str(model), digests) != before
    assert reference_digest(str(model), FileDigests(tmp_path / "digests.json")) != before
    content[-1] ^= 1
    path.write_bytes(content)
    assert reference_digest(str(model), digests) == before


def test_what_has_no_say_in_the_numbers_changes_no_digest(model: Path, tmp_path: Path) -> None:
    before = model_digest(model)
    for name in ("README.md", "paramosaic.json", "optimizer.pt", "trainer_state.json"):
        (model / name).write_text("{}")
    assert model_digest(model) == before
    assert model_digest(model.rename(tmp_path / "elsewhere")) == before
    assert model_digest(DEMO_FOLDER / "order-1") == before
    assert model_digest(DEMO_FOLDER / "order-2") != before


def test_weights_are_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    whole = core.evaluate.models.digests._digest
    monkeypatch.setattr(
        core.evaluate.models.digests, "_digest", lambda path, cancel: read.append(path) or whole(path, cancel)
    )
    kept = tmp_path / "data" / "digests.json"
    first = reference_digest(str(model), FileDigests(kept))
    assert model / "model.safetensors" in read
    read.clear()
    assert reference_digest(str(model), FileDigests(kept)) == first
    assert not read
    kept.write_text("[1, {")  # nothing is known any more
    assert reference_digest(str(model), FileDigests(kept)) == first
    assert len(read) > 3


def test_processes_that_keep_digests_at_once_lose_none(model: Path, tmp_path: Path) -> None:
    one, other = (FileDigests(tmp_path / "digests.json") for _ in range(2))
    one.of(model / "config.json")
    other.of(model / "tokenizer.json")
    one.keep()
    time.sleep(0.02)
    other.keep()
    known = FileDigests(tmp_path / "digests.json")
    assert known.known(model / "config.json") is not None
    assert known.known(model / "tokenizer.json") is not None


def test_a_recipe_is_known_by_what_it_says_and_by_its_models(model: Path, tmp_path: Path) -> None:
    def digest(name: str, weight: float, folder: Path) -> str:
        path = tmp_path / name
        path.write_text(
            json.dumps(
                {
                    "merge_method": "linear",
                    "models": [
                        {"model": str(folder), "parameters": {"weight": weight}},
                        {"model": str(DEMO_FOLDER / "order-2"), "parameters": {"weight": 1.0}},
                    ],
                }
            )
        )
        return reference_digest(str(path), FileDigests(None))

    first = digest("a.yaml", 1.0, model)
    assert digest("b.yml", 1.0, DEMO_FOLDER / "order-1") == first  # the same model elsewhere
    assert digest("a.yaml", 0.5, model) != first
    assert digest("a.yaml", 1.0, DEMO_FOLDER / "order-3") != first


def test_models_that_are_not_there_and_cancelling(model: Path) -> None:
    with pytest.raises(MergeError, match="nothing-here"):
        reference_digest(str(model.parent / "nothing-here"), FileDigests(None))
    with pytest.raises(CheckpointError):
        model_digest(model.parent)  # a folder without a model
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled, match="evaluation"):
        model_digest(model, cancel=token)


def test_what_is_known_of_a_runs_output(store: ScoreStore, model: Path) -> None:
    assert store.digest_of(model) is None
    digest = reference_digest(str(model), store.digests)
    older = store.put(make_scores(model_digest=digest), data="a.jsonl")
    store.put(make_scores(model_digest="3" * 32))
    time.sleep(0.002)
    newer = store.put(make_scores(model_digest=digest, data_digest="4" * 32), data="b.jsonl")
    later = ScoreStore(store.folder)
    assert later.digest_of(model) == digest
    assert [known.key for known in later.for_digest(digest)] == [newer, older]
    (model / "config.json").write_text("{}")  # another merge has written there
    assert store.digest_of(model) is None
    assert store.digest_of(model.parent / "gone") is None


def test_adapters_are_part_of_the_model(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    digests = FileDigests(None)
    found = [reference_digest(f"{base}+{adapter}", digests) for base in (model, DEMO_FOLDER / "base")]
    (adapter / "adapter_model.safetensors").write_bytes(b"weighty")
    found += [reference_digest(f"{model}+{adapter}", digests), reference_digest(str(model), digests)]
    assert len(set(found)) == 4


def test_what_is_taken_over_from_other_settings(store: ScoreStore) -> None:
    """Rows by their lines, of the same model and data, where a loss is the same whatever else was asked."""
    correct = np.array([True, False, True, False, True])
    loss = np.array([5.0, 1.0, 2.0, 3.0, 4.0])
    classifier = make_scores(task="classifier", correct=correct, loss=loss, given_bytes=np.arange(5))
    store.put(classifier, data="a.jsonl")
    assert same(store.all()[0].scores, classifier)
    # Lines 2 to 6 are known; of these rows two are among them.
    rows = tuple(Row(line, text="a", label="b") for line in (1, 6, 3, 9))
    data = DataSet(Path("a.jsonl"), "label", rows, classifier.data_digest)

    def taken(**settings: object) -> PartialScores | None:
        return taken_over(store, classifier.model_digest, data, replace(Settings(limit=4), **settings))  # type: ignore[arg-type]

    found = taken()
    assert found is not None
    assert found.losses is not None
    assert found.losses.correct is not None
    assert dict(zip(found.losses.rows.tolist(), found.losses.loss.tolist(), strict=True)) == {1: 4.0, 2: 1.0}
    assert dict(zip(found.losses.rows.tolist(), found.losses.correct.tolist(), strict=True)) == {
        1: True,
        2: False,
    }
    for others in ({"dtype": "bfloat16"}, {"max_length": 9}, {"chat_prompts": False}):
        assert taken(**others) is None
    assert taken_over(store, "ef" * 16, data, Settings()) is None
    assert taken_over(store, classifier.model_digest, replace(data, digest="0" * 32), Settings()) is None
    of_csv = replace(data, path=Path("a.csv"))  # the same bytes, read otherwise
    assert taken_over(store, classifier.model_digest, of_csv, Settings()) is None
    own = RowLosses(np.array([2]), np.array([7.0]), np.array([1]), np.array([1]), np.array([True]))
    more = with_more(PartialScores(own, {}, 3.0), found)
    assert more.losses is not None
    assert more.losses.rows.tolist() == [2, 1]
    assert more.losses.loss.tolist() == [7.0, 4.0]
    assert more.seconds == 3.0
