"""Going on with a merge: the same bytes and record, or a refusal that says what is different."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_merges import OneByOne, Story, contents, error_of, make_inputs, quick_folder, same_output

from core import Cancelled, MergeError, discard, leftover_of, plan_merge, run_merge
from core.cancel import CancelToken
from core.checkpoint.journal import Journal, read_journal
from core.checkpoint.staging import JOURNAL_NAME, staging_path
from core.disk import OpenFolder
from core.plan import merge_plan
from core.recipe.parsing import parse_recipe
from core.run import resuming
from core.run.work import Chunk

CUT_OFF = 80
"""A call to the disk in the middle of the weights."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The output of a merge that nothing interrupts."""
    story = Story(inputs, tmp_path_factory.mktemp("whole") / "work")
    story.run()
    return contents(story.out)


@pytest.fixture
def story(inputs: Path, tmp_path: Path) -> Story:
    """A merge that was cut off."""
    story = Story(inputs, tmp_path / "work")
    story.cut_off(CUT_OFF)
    assert story.names() == ["out.partial"]
    return story


@pytest.fixture
def own_inputs(inputs: Path, tmp_path: Path) -> Story:
    """The same, of models that may be changed."""
    shutil.copytree(inputs, tmp_path / "inputs")
    story = Story(tmp_path / "inputs", tmp_path / "work")
    story.cut_off(CUT_OFF)
    return story


class TestTheSame:
    def test_it_says_how_far_it_got(self, story: Story) -> None:
        left = leftover_of(story.out)
        assert left is not None
        assert 0.2 < left.fraction < 0.95
        assert not left.runs

    def test_what_is_finished_is_not_read_again(self, story: Story, whole: dict[str, bytes]) -> None:
        left = leftover_of(story.out)
        record = story.run(resume=True)
        assert same_output(contents(story.out), whole)
        assert story.names() == ["out"]
        assert left is not None
        assert record.bytes_read < (1.1 - left.fraction) * story.plan().bytes_to_read
        assert record.seconds >= 0

    @pytest.mark.parametrize("options", [{"threads": 2}, {"chunk_bytes": 10**9}, {"executor": None}])
    def test_in_other_chunks_and_threads(
        self, story: Story, whole: dict[str, bytes], options: dict[str, Any]
    ) -> None:
        story.run(resume=True, **options)
        assert same_output(contents(story.out), whole)

    @pytest.mark.parametrize("executor", [OneByOne, lambda: None])
    def test_begun_in_other_chunks(
        self, inputs: Path, tmp_path: Path, whole: dict[str, bytes], executor: Callable[[], Any]
    ) -> None:
        story = Story(inputs, tmp_path / "work")
        story.cut_off(70, threads=2, chunk_bytes=600_000, executor=executor())
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    def test_twice_and_three_times(self, story: Story, whole: dict[str, bytes]) -> None:
        fractions = []
        for at in (30, 45, 60):
            story.cut_off(at, resume=True)
            left = leftover_of(story.out)
            assert left is not None
            fractions.append(left.fraction)
        assert fractions == sorted(fractions)
        story.run(resume=True)
        assert same_output(contents(story.out), whole)
        assert story.names() == ["out"]

    def test_one_that_is_done_is_done(self, story: Story, whole: dict[str, bytes]) -> None:
        story.run(resume=True)
        before = contents(story.out)
        notes: list[str] = []
        record = story.run(resume=True, on_note=notes.append)
        assert contents(story.out) == before
        assert record.run_id == story.record().run_id
        assert any("finished already" in note for note in notes)

    @pytest.mark.parametrize("old_time", [False, True])
    def test_one_that_was_done_of_other_weights(
        self, inputs: Path, tmp_path: Path, whole: dict[str, bytes], old_time: bool
    ) -> None:
        """A model was trained once more: its header and its size are as they were."""
        shutil.copytree(inputs, tmp_path / "inputs")
        story = Story(tmp_path / "inputs", tmp_path / "work")
        story.run()
        path = story.inputs / "model-1" / "model.safetensors"
        status = path.stat()
        path.write_bytes(path.read_bytes()[:-1000] + bytes(1000))
        if old_time:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        error = error_of(story.run, resume=True)
        assert error is not None
        assert "exists already" in error.message
        story.run(resume=True, overwrite=True)
        resumed = contents(story.out)
        story.clear()
        story.run()
        assert same_output(resumed, contents(story.out))
        assert not same_output(resumed, whole)

    def test_one_that_was_done_of_another_small_file(self, inputs: Path, tmp_path: Path) -> None:
        shutil.copytree(inputs, tmp_path / "inputs")
        story = Story(tmp_path / "inputs", tmp_path / "work")
        story.run()
        for place in story.inputs.iterdir():
            (place / "tokenizer.json").write_text('{"other": 1}')
        assert "exists already" in str(error_of(story.run, resume=True))
        story.run(resume=True, overwrite=True)
        assert (story.out / "tokenizer.json").read_text() == '{"other": 1}'

    def test_with_the_name_of_the_work(self, story: Story, whole: dict[str, bytes]) -> None:
        """As one may give it who reads where the work is kept: it stays, and can be gone on with."""
        story.out.mkdir()
        (story.out / "thesis.tex").write_text("mine")
        with mock.patch("core.run.merge.check_destination"):  # the folder appears while the merge runs
            assert error_of(story.run, resume=True) is not None
        shutil.rmtree(story.out)
        before = contents(story.parent)
        mistaken = Story(story.inputs, story.parent)
        mistaken.out = staging_path(story.out)
        error = error_of(mistaken.run, resume=True)
        assert error is not None
        assert "unfinished work" in error.message
        assert contents(story.parent) == before
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    def test_there_was_nothing_to_go_on_with(
        self, inputs: Path, tmp_path: Path, whole: dict[str, bytes]
    ) -> None:
        story = Story(inputs, tmp_path / "work")
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    @pytest.mark.parametrize("copy", [shutil.copytree, lambda a, b: os.system(f"cp -r '{a}' '{b}'")])
    def test_copied_to_another_file_system(
        self,
        story: Story,
        inputs: Path,
        whole: dict[str, bytes],
        copy: Callable[[Path, Path], Any],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        other = Story(inputs, tmp_path_factory.mktemp("elsewhere") / "work")
        if os.stat(other.parent).st_dev == os.stat(story.parent).st_dev:
            pytest.skip("no other file system at hand")
        copy(staging_path(story.out), staging_path(other.out))
        record = other.run(resume=True)
        assert same_output(contents(other.out), whole)
        assert record.bytes_read < 0.8 * other.plan().bytes_to_read
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    def test_inputs_that_were_copied_elsewhere(self, own_inputs: Story, whole: dict[str, bytes]) -> None:
        moved = own_inputs.inputs.with_name("moved")
        shutil.copytree(own_inputs.inputs, moved)  # with their times
        shutil.rmtree(own_inputs.inputs)
        Story(moved, own_inputs.parent).run(resume=True)
        assert same_output(contents(own_inputs.out), whole)

    @pytest.mark.parametrize("at", [55, 70, 85])
    def test_folds(self, inputs: Path, tmp_path: Path, at: int) -> None:
        """Cut off in folds, between them and the map, and in the map."""
        story = Story(inputs, tmp_path / "work", "slerp")
        story.cut_off(at)
        left = leftover_of(story.out)
        story.run(resume=True)
        whole = Story(inputs, tmp_path / "whole", "slerp")
        whole.run()
        assert same_output(contents(story.out), contents(whole.out))
        assert left is not None


class TestCancel:
    def _cancelled(self, story: Story, at: int, **options: Any) -> Cancelled:
        token = CancelToken()
        with_token = options.pop("with_token", False)

        def cancel(number: int, chunk: Chunk) -> None:
            if number == at:
                token.cancel(keep=with_token or None)

        with pytest.raises(Cancelled) as cancelled:
            story.run(executor=OneByOne(cancel), cancel=token, **options)
        return cancelled.value

    def test_nothing_is_kept_unasked(self, inputs: Path, tmp_path: Path) -> None:
        story = Story(inputs, tmp_path / "work")
        for at in range(0, 8, 3):
            assert self._cancelled(story, at).kept is None
            assert story.names() == []

    @pytest.mark.parametrize("with_token", [False, True])
    def test_what_is_kept(
        self, inputs: Path, tmp_path: Path, whole: dict[str, bytes], with_token: bool
    ) -> None:
        story = Story(inputs, tmp_path / "work")
        for at in range(1, 9):
            how: dict[str, Any] = {"with_token": True} if with_token else {"keep": True}
            error = self._cancelled(story, at, **how)
            assert error.kept == staging_path(story.out)
            record = story.run(resume=True)
            assert record.bytes_read < story.plan().bytes_to_read
            assert same_output(contents(story.out), whole)
            assert story.names() == ["out"]
            story.clear()

    def test_what_is_to_be_removed_goes_in_a_resume_too(self, story: Story) -> None:
        token = CancelToken()
        with pytest.raises(Cancelled) as cancelled:
            story.run(
                executor=OneByOne(lambda *_: token.cancel(keep=False)), cancel=token, resume=True, keep=True
            )
        assert cancelled.value.kept is None
        assert not staging_path(story.out).exists()

    def test_a_resume_keeps_what_it_found(self, story: Story, whole: dict[str, bytes]) -> None:
        error = self._cancelled(story, 1, resume=True)
        assert error.kept == staging_path(story.out)
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    def test_before_anything_is_finished_nothing_is_kept(self, inputs: Path, tmp_path: Path) -> None:
        story = Story(inputs, tmp_path / "work")
        assert self._cancelled(story, 0, keep=True).kept is None
        assert story.names() == []

    def test_while_a_resume_looks_at_what_there_is(self, story: Story, whole: dict[str, bytes]) -> None:
        token = CancelToken()

        def cancel(*given: Any) -> Any:
            token.cancel(keep=True)
            return sound_parts(*given)

        sound_parts = resuming.sound_parts
        with mock.patch("core.run.merge.sound_parts", cancel), pytest.raises(Cancelled) as cancelled:
            story.run(resume=True, cancel=token)
        assert cancelled.value.kept == staging_path(story.out)
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    def test_a_resume_that_is_cancelled_again(self, story: Story, whole: dict[str, bytes]) -> None:
        error = self._cancelled(story, 1, keep=True, resume=True)
        assert error.kept == staging_path(story.out)
        story.run(resume=True)
        assert same_output(contents(story.out), whole)


class TestRefused:
    """What was finished stays, and the first merge can still go on."""

    def _refused(self, story: Story, changed: Callable[[], Any], words: str) -> None:
        before = contents(staging_path(story.out) / "..")
        before = {name: data for name, data in before.items() if "owner.json" not in name}
        with pytest.raises(MergeError) as refused:
            changed()
        error = refused.value
        assert words in error.message
        assert str(staging_path(story.out)) in error.message
        assert "paramosaic discard" in str(error.hint)
        assert error.kept == staging_path(story.out)
        after = contents(staging_path(story.out) / "..")
        assert {name: data for name, data in after.items() if "owner.json" not in name} == before

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"seed": 8}, "seed is 8 in the recipe now, and it was begun with 7"),
            ({"parameters": {"resamples": 3}}, "resamples"),
            ({"merge_method": "linear", "parameters": {}}, "linear"),
            ({"dtype": "float32"}, "dtype is"),
            ({"out_dtype": "float16"}, "out_dtype is"),
            ({"zero_tolerance": 0.001}, "zero_tolerance is"),
            ({"base_model": "model-1"}, "base_model is"),
        ],
    )
    def test_another_recipe(
        self, story: Story, whole: dict[str, bytes], change: dict[str, Any], words: str
    ) -> None:
        self._refused(story, lambda: story.run(story.plan(**change), resume=True), words)
        story.run(resume=True)
        assert same_output(contents(story.out), whole)

    @pytest.mark.parametrize(
        ("models", "words"),
        [
            ([{"model": "model-1"}], "has 1 sub-models now, and it was begun with 2"),
            ([{"model": "model-2"}, {"model": "model-1"}], "sub-model 1 of the recipe is"),
            ([{"model": "model-1", "parameters": {"weight": 0.5}}, {"model": "model-2"}], "weight"),
        ],
    )
    def test_other_models(self, story: Story, models: list[dict[str, Any]], words: str) -> None:
        self._refused(story, lambda: story.run(story.plan(models=models), resume=True), words)

    def test_a_model_of_the_same_name_elsewhere(self, own_inputs: Story) -> None:
        other = own_inputs.inputs.with_name("others")
        make_inputs(other)
        words = "model.safetensors has changed since"
        story = Story(other, own_inputs.parent)
        self._refused(own_inputs, lambda: story.run(resume=True), words)

    def test_other_shards(self, story: Story) -> None:
        plan = plan_merge(parse_recipe(story.data, story.inputs), shard_size_bytes=500_000)
        self._refused(story, lambda: story.run(plan, resume=True), "give the same shard size")

    @pytest.mark.parametrize("name", ["tokenizer.json", "additional_chat_templates/tools.jinja"])
    def test_a_small_file_that_changed(self, own_inputs: Story, name: str) -> None:
        for place in own_inputs.inputs.iterdir():
            (place / name).write_text('{"other": 1}')
        self._refused(own_inputs, lambda: own_inputs.run(resume=True), f"{name} of the models has changed")

    def test_a_small_file_that_is_gone(self, own_inputs: Story) -> None:
        for place in own_inputs.inputs.iterdir():
            (place / "generation_config.json").unlink()
        self._refused(own_inputs, lambda: own_inputs.run(resume=True), "no 'generation_config.json' any more")

    def test_a_small_file_that_is_new(self, own_inputs: Story) -> None:
        for place in own_inputs.inputs.iterdir():
            (place / "special_tokens_map.json").write_text("{}")
        self._refused(own_inputs, lambda: own_inputs.run(resume=True), "special_tokens_map.json")

    @pytest.mark.parametrize("contract", [{"draws": 1, "average": 3}, {"draws": 1, "average": 1}])
    def test_another_contract(self, story: Story, contract: dict[str, int]) -> None:
        with mock.patch.object(merge_plan, "CONTRACT", contract):
            words = "by a version of Paramosaic whose results may differ"
            self._refused(story, lambda: story.run(resume=True), words)

    def test_another_version_of_the_journal(self, story: Story) -> None:
        with mock.patch.object(resuming, "_VERSION", 2):
            self._refused(story, lambda: story.run(resume=True), "its journal is of version 1, not 2")

    @pytest.mark.parametrize("method", ["slerp", "parameter_selection"])
    def test_another_platform(self, inputs: Path, tmp_path: Path, method: str) -> None:
        """Only for a method whose bytes may differ there."""
        story = Story(inputs, tmp_path / "work", method)
        story.cut_off(CUT_OFF)
        with mock.patch.object(resuming, "_platform", return_value="Haiku riscv64"):
            if method == "slerp":
                self._refused(story, lambda: story.run(resume=True), "Haiku riscv64")
            else:
                story.run(resume=True)

    def test_a_merge_that_does_not_say_resume(self, story: Story) -> None:
        before = contents(story.parent)
        for overwrite in (False, True):
            error = error_of(story.run, overwrite=overwrite)
            assert error is not None
            assert "was cut off at" in error.message
            assert "--resume" in str(error.hint)
            assert f"paramosaic discard {staging_path(story.out)}" in str(error.hint)
        assert contents(story.parent) == before


def _damage(path: Path, target: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut_short(path: Path, target: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path, target: Path) -> None:
    path.write_bytes(b"")


def _remove(path: Path, target: Path) -> None:
    path.unlink()


def _longer(path: Path, target: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 5000)


def _other_header(path: Path, target: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 20)


def _zeros(path: Path, target: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _hard_link(path: Path, target: Path) -> None:
    path.unlink()
    os.link(target, path)


def _folder(path: Path, target: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, target: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class TestDamage:
    """What somebody did to the staging folder meanwhile."""

    @pytest.mark.parametrize("how", [_damage, _cut_short, _empty, _remove, _longer, _other_header, _zeros])
    def test_a_shard(
        self, story: Story, whole: dict[str, bytes], how: Callable[[Path, Path], None], tmp_path: Path
    ) -> None:
        """That part is made again."""
        shard = sorted(staging_path(story.out).glob("*.safetensors"))[0]
        how(shard, tmp_path / "x")
        story.run(resume=True)
        assert same_output(contents(story.out), whole)
        assert story.names() == ["out"]

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("config.json", _empty),
            ("generation_config.json", _remove),
            ("model.safetensors.index.json", _longer),
            ("config.json", _link),
            ("generation_config.json", _hard_link),
        ],
    )
    def test_a_small_file(
        self,
        story: Story,
        whole: dict[str, bytes],
        tmp_path: Path,
        name: str,
        how: Callable[[Path, Path], None],
    ) -> None:
        (tmp_path / "thesis.tex").write_text("mine")
        how(staging_path(story.out) / name, tmp_path / "thesis.tex")
        story.run(resume=True)
        assert same_output(contents(story.out), whole)
        assert (tmp_path / "thesis.tex").read_text() == "mine"

    @pytest.mark.parametrize("how", [_link, _folder, _pipe])
    def test_a_shard_that_is_something_else(
        self, story: Story, tmp_path: Path, how: Callable[[Path, Path], None]
    ) -> None:
        """It is not written through; the sentence names it."""
        target = tmp_path / "thesis.tex"
        target.write_text("mine" * 100_000)
        shard = sorted(staging_path(story.out).glob("*.safetensors"))[0]
        how(shard, target)
        error = error_of(story.run, resume=True)
        assert error is not None
        assert str(shard) in error.message
        assert target.read_text() == "mine" * 100_000

    def test_a_shard_with_a_second_name(self, story: Story, whole: dict[str, bytes], tmp_path: Path) -> None:
        """What is behind the other name is somebody's."""
        target = tmp_path / "thesis.tex"
        shard = sorted(staging_path(story.out).glob("*.safetensors"))[0]
        target.write_bytes(b"m" * shard.stat().st_size)
        _hard_link(shard, target)
        before = target.read_bytes()
        error = error_of(story.run, resume=True)
        assert target.read_bytes() == before
        assert error is not None or same_output(contents(story.out), whole)

    @pytest.mark.parametrize("how", [_remove, _empty, _zeros, _cut_short, _damage, _longer])
    def test_the_journal(
        self, story: Story, whole: dict[str, bytes], how: Callable[[Path, Path], None], tmp_path: Path
    ) -> None:
        how(staging_path(story.out) / JOURNAL_NAME, tmp_path / "x")
        assert leftover_of(story.out) is not None
        """Where its beginning is lost, nothing says whose the files are: nothing is deleted."""
        before = contents(staging_path(story.out)).keys()
        error = error_of(story.run, resume=True)
        if error is None:
            assert same_output(contents(story.out), whole)
            assert story.names() == ["out"]
        else:
            for refused in (error, error_of(discard, staging_path(story.out))):
                assert refused is not None
                assert str(staging_path(story.out)) in refused.message
                assert "move" in str(refused.hint)
            assert before <= contents(staging_path(story.out)).keys()

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("lock", _remove),
            ("lock", _damage),
            ("owner.json", _empty),
            ("owner.json", _remove),
            ("reserve", _remove),
        ],
    )
    def test_what_else_is_its_own(
        self,
        story: Story,
        whole: dict[str, bytes],
        tmp_path: Path,
        name: str,
        how: Callable[[Path, Path], None],
    ) -> None:
        path = staging_path(story.out) / ".paramosaic" / name
        path.write_bytes(path.read_bytes() or b"x")
        how(path, tmp_path / "x")
        story.run(resume=True)
        assert same_output(contents(story.out), whole)
        assert story.names() == ["out"]

    def test_a_file_of_somebody_else(self, story: Story, whole: dict[str, bytes]) -> None:
        """It is neither deleted nor becomes part of an output."""
        mine = staging_path(story.out) / "thesis.tex"
        mine.write_text("mine")
        error = error_of(story.run, resume=True)
        places = [place for place in (mine, story.out / "thesis.tex") if place.exists()]
        assert [place.read_text() for place in places] == ["mine"]
        if error is None:
            assert same_output(
                {name: data for name, data in contents(story.out).items() if name != "thesis.tex"}, whole
            )


class TestSomebodysFolder:
    """What is called like a staging folder, and is none."""

    def _make(self, story: Story, names: list[str]) -> dict[str, bytes]:
        for name in names:
            path = staging_path(story.out) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("mine")
        return contents(story.parent)

    @pytest.mark.parametrize(
        "names",
        [
            ["thesis.tex"],
            ["model.safetensors", "config.json"],
            [".paramosaic/journal", "thesis.tex"],
            [".paramosaic/owner.json", "model-00001-of-00004.safetensors"],
        ],
    )
    @pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True, "resume": True}])
    def test_it_is_refused(
        self, inputs: Path, tmp_path: Path, names: list[str], options: dict[str, Any]
    ) -> None:
        story = Story(inputs, tmp_path / "work")
        before = self._make(story, names)
        error = error_of(story.run, **options)
        assert error is not None
        assert error.path is not None
        assert error.path.name == "out.partial" or "out.partial" in error.message
        after = contents(story.parent)
        assert {name: after[name] for name in before if ".paramosaic" not in name} == {
            name: data for name, data in before.items() if ".paramosaic" not in name
        }

    @pytest.mark.parametrize("names", [["thesis.tex"], [".paramosaic/journal", "thesis.tex"]])
    def test_nor_discarded(self, inputs: Path, tmp_path: Path, names: list[str]) -> None:
        story = Story(inputs, tmp_path / "work")
        self._make(story, names)
        error = error_of(discard, staging_path(story.out))
        assert error is not None
        assert (staging_path(story.out) / "thesis.tex").read_text() == "mine"


# -- journals that lie

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
KEYS = [
    "part",
    "first",
    "elements",
    "read",
    "outputs",
    "digests",
    "counts",
    "differs",
    "found",
    "tensor",
    "again",
    "inputs",
    "changed",
    "in",
    "files",
    "done",
    "name",
    "digest",
    "size_bytes",
    "names",
    "run_id",
    "kind",
]
ENTRY = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=5),
    JSON | st.integers(-3, 10) | st.lists(st.integers(-3, 12), max_size=4),
    max_size=6,
)


@pytest.fixture(scope="module")
def left(inputs: Path) -> Iterator[Path]:
    """A staging folder."""
    with quick_folder() as folder:
        story = Story(inputs, folder / "left" / "work")
        story.cut_off(CUT_OFF)
        yield staging_path(story.out)


def _with_journal(inputs: Path, left: Path, parent: Path, entries: list[Any]) -> Story:
    """A staging folder whose journal has these entries, with sound checksums."""
    shutil.rmtree(parent, ignore_errors=True)
    story = Story(inputs, parent)
    shutil.copytree(left, staging_path(story.out))
    journal = staging_path(story.out) / JOURNAL_NAME
    journal.unlink()
    with OpenFolder(staging_path(story.out)) as folder:
        Journal(folder, JOURNAL_NAME, entries).close()
    return story


def _goes_on_or_is_refused(story: Story, whole: dict[str, bytes]) -> None:
    leftover_of(story.out)
    error = error_of(story.run, resume=True)
    if error is None:
        assert same_output(contents(story.out), whole)
        assert story.names() == ["out"]
    else:
        assert str(staging_path(story.out)) in error.message
        assert not story.out.exists()


@settings(max_examples=10)
@given(more=st.lists(ENTRY, min_size=1, max_size=3), at=st.integers(1, 4))
def test_entries_of_any_kind(
    inputs: Path, left: Path, whole: dict[str, bytes], more: list[dict[str, Any]], at: int
) -> None:
    entries = list(read_journal(left / JOURNAL_NAME))
    story = _with_journal(inputs, left, left.parent.parent / "any", [*entries[:at], *more, *entries[at:]])
    _goes_on_or_is_refused(story, whole)


@pytest.mark.slow
@settings(max_examples=500)
@given(more=st.lists(ENTRY, min_size=1, max_size=3), at=st.integers(1, 4))
def test_many_entries_of_any_kind(
    inputs: Path, left: Path, whole: dict[str, bytes], more: list[dict[str, Any]], at: int
) -> None:
    entries = list(read_journal(left / JOURNAL_NAME))
    story = _with_journal(inputs, left, left.parent.parent / "any", [*entries[:at], *more, *entries[at:]])
    _goes_on_or_is_refused(story, whole)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in lists and objects, as what it is in and its key there."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@settings(max_examples=10)
@given(data=st.data())
def test_entries_with_other_values(
    inputs: Path, left: Path, whole: dict[str, bytes], data: st.DataObject
) -> None:
    _other_values(inputs, left, whole, data)


@pytest.mark.slow
@settings(max_examples=1000)
@given(data=st.data())
def test_entries_with_many_other_values(
    inputs: Path, left: Path, whole: dict[str, bytes], data: st.DataObject
) -> None:
    _other_values(inputs, left, whole, data)


def _other_values(inputs: Path, left: Path, whole: dict[str, bytes], data: st.DataObject) -> None:
    """One value anywhere in a journal is another: counts, digests and places among them."""
    entries = json.loads(json.dumps(read_journal(left / JOURNAL_NAME)))
    places = list(_places(entries))
    place, key = places[data.draw(st.integers(0, 10_000)) % len(places)]
    place[key] = data.draw(JSON | st.integers(-3, 400_000))
    entries = [entry for entry in entries if isinstance(entry, dict)]
    story = _with_journal(inputs, left, left.parent.parent / "any", entries)
    leftover_of(story.out)
    error = error_of(story.run, resume=True)
    if error is None:
        weights = {name: text for name, text in contents(story.out).items() if "safetensors" in name}
        assert weights == {name: text for name, text in whole.items() if "safetensors" in name}
        story.record()


@pytest.mark.parametrize("first", [{}, {"run_id": "x"}, {"run_id": "../../x"}, {"kind": 3, "run_id": "a"}])
def test_a_journal_that_begins_otherwise(
    inputs: Path, left: Path, tmp_path: Path, whole: dict[str, bytes], first: dict[str, Any]
) -> None:
    entries = list(read_journal(left / JOURNAL_NAME))
    story = _with_journal(inputs, left, tmp_path / "any", [first, *entries[1:]])
    _goes_on_or_is_refused(story, whole)


def test_a_plan_is_not_needed_twice(story: Story, whole: dict[str, bytes]) -> None:
    """The plan of the merge that was cut off will do, in the same process."""
    plan = story.plan()
    run_merge(plan, story.out, resume=True)
    assert same_output(contents(story.out), whole)
