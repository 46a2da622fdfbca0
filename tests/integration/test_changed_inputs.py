"""Inputs that change while they are read, or between a merge and its resume: never bytes of both.

Whatever is done to a file of a model, the merge is refused and names the file, or gives what a fresh merge of
the models gives as they are by then.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from small_merges import OneByOne, Story, contents, error_of, quick_folder, same_output

from core import CheckpointError, discard
from core.checkpoint.headers import encode_header
from core.checkpoint.staging import staging_path
from core.dtypes import DTYPES
from core.run.work import Chunk

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the times of files are POSIX systems'")

SHARDS = 3
_TICK_S = 0.02
"""Times of files go on so finely at least."""


def make_sharded(folder: Path) -> None:
    """A base and two models of three shards, each with a tensor of two chunks and a small one."""
    random = np.random.default_rng(3)
    for name in ("base", "model-1", "model-2"):
        (folder / name).mkdir(parents=True)
        weight_map = {}
        for number in range(1, SHARDS + 1):
            file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
            shapes = {
                f"model.layers.{number}.mlp.weight": (150, 1024),
                f"model.layers.{number}.norm.weight": (64,),
            }
            entries, data = {}, b""
            for tensor, shape in shapes.items():
                words = random.integers(0x3C00, 0x3C80, size=shape).astype("<u2")
                entries[tensor] = DTYPES["BF16"], shape, len(data), len(data) + words.nbytes
                data += words.tobytes()
                weight_map[tensor] = file
            (folder / name / file).write_bytes(encode_header(entries) + data)
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / name / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / name / "config.json").write_text(json.dumps({"model_type": "llama"}))


# -- what can be done to a file


def _other(data: bytes) -> bytes:
    """Other weights under the same header."""
    begin = 8 + int.from_bytes(data[:8], "little")
    return data[:begin] + bytes(byte ^ 1 for byte in data[begin:])


def _write_in_place(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


@contextlib.contextmanager
def _old_time(path: Path) -> Iterator[None]:
    status = path.stat()
    yield
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def in_place(path: Path) -> None:
    _write_in_place(path, _other(path.read_bytes()))


def in_place_with_its_old_time(path: Path) -> None:
    with _old_time(path):
        in_place(path)


def copied_over_with_cp_p(path: Path) -> None:
    """Another model's file of the same time: the bytes go into the file that is there."""
    with _old_time(path):
        path.write_bytes(_other(path.read_bytes()))


def replaced(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(_other(path.read_bytes()))
    new.replace(path)


def replaced_with_rsync_t(path: Path) -> None:
    with _old_time(path):
        replaced(path)


def replaced_by_a_link(path: Path) -> None:
    target = path.parent.parent / "elsewhere.safetensors"
    target.write_bytes(_other(path.read_bytes()))
    path.unlink()
    path.symlink_to(target)


def removed(path: Path) -> None:
    path.unlink()


def taken_away_and_put_back(path: Path) -> None:
    path.rename(path.with_name("away"))
    path.with_name("away").rename(path)


def removed_and_copied_back(path: Path) -> None:
    data = path.read_bytes()
    with _old_time(path):
        path.unlink()
        path.write_bytes(data)


def removed_and_another_copied_there(path: Path) -> None:
    """The file system may well give it the same number."""
    data = path.read_bytes()
    with _old_time(path):
        path.unlink()
        path.write_bytes(_other(data))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_short_and_zeros_for_the_rest(path: Path) -> None:
    size = path.stat().st_size
    with _old_time(path):
        os.truncate(path, size // 2)
        os.truncate(path, size)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def touched(path: Path) -> None:
    os.utime(path)


def an_older_time(path: Path) -> None:
    os.utime(path, (1, 1))


def other_permissions(path: Path) -> None:
    path.chmod(0o640)


def a_hard_link_more(path: Path) -> None:
    os.link(path, path.parent.parent / "another-name")


def the_same_bytes_again(path: Path) -> None:
    _write_in_place(path, path.read_bytes())


def another_header(path: Path) -> None:
    """The same bytes are said to be of another type; size and time stay."""
    data = path.read_bytes()
    with _old_time(path):
        _write_in_place(path, data.replace(b'"BF16"', b'"F16" '))


def the_whole_folder(path: Path) -> None:
    """Another model gets the name, with the same times."""
    old = path.parent.with_name("old")
    path.parent.rename(old)
    shutil.copytree(old, path.parent)
    for file in path.parent.glob("*.safetensors"):
        with _old_time(file):
            in_place(file)


WAYS: tuple[Callable[[Path], None], ...] = (
    in_place,
    in_place_with_its_old_time,
    copied_over_with_cp_p,
    replaced,
    replaced_with_rsync_t,
    replaced_by_a_link,
    removed,
    taken_away_and_put_back,
    removed_and_copied_back,
    removed_and_another_copied_there,
    cut_short,
    cut_short_and_zeros_for_the_rest,
    longer,
    touched,
    an_older_time,
    other_permissions,
    a_hard_link_more,
    the_same_bytes_again,
    another_header,
    the_whole_folder,
)
SILENT = (in_place, in_place_with_its_old_time, copied_over_with_cp_p, replaced_with_rsync_t)
"""What gave a mixture and no error once."""

MODELS = ("base", "model-1", "model-2")
STATES = ("finished", "open", "unopened")
"""Of the shard that is changed, in a merge that is in the middle of its second one."""


class Changing:
    """A merge of inputs that are changed."""

    def __init__(self, template: Path, folder: Path, method: str = "parameter_selection") -> None:
        self._template, self._folder, self._method = template, folder, method
        self._count = 0

    def begin(self) -> None:
        """Have inputs that nobody has changed, and no output."""
        self._count += 1
        place = self._folder / str(self._count)
        shutil.copytree(self._template, place / "inputs")
        self.story = Story(place / "inputs", place / "work", self._method)
        time.sleep(_TICK_S)

    def shard(self, model: str, number: int) -> Path:
        return self.story.inputs / model / f"model-{number:05}-of-{SHARDS:05}.safetensors"

    def fresh(self) -> dict[str, bytes]:
        """What a merge of the inputs as they are gives."""
        other = Story(self.story.inputs, self.story.parent.parent / "fresh", self._method)
        other.run(overwrite=True)
        return contents(other.out)

    def while_it_runs(self, way: Callable[[Path], None], model: str, state: str) -> str:
        """Change a file in the middle of a merge; returns what happened."""
        self.begin()
        path = self.shard(model, 1 + STATES.index(state))
        where = f"{way.__name__}, {model}, {state}"

        changes = iter([way])

        def change(number: int, chunk: Chunk) -> None:
            if plan.tensors[chunk.tensor].output.name == "model.layers.2.mlp.weight" and chunk.first:
                for do in changes:  # once
                    do(path)

        plan = self.story.plan()
        error = error_of(self.story.run, plan, executor=OneByOne(change))
        if error is None:
            assert same_output(contents(self.story.out), self.fresh()), f"{where}: silently wrong"
            return "done"
        assert isinstance(error, CheckpointError), where
        assert str(error.path) in error.message, where
        assert error.path == path or (way is the_whole_folder and error.path.parent == path.parent), where
        assert error.kept == staging_path(self.story.out), f"{where}: what was finished is kept"
        return f"refused, then {self.go_on(path, where)}"

    def between(self, way: Callable[[Path], None], model: str, number: int) -> str:
        """Change a file between a kill and the resume; returns what happened."""
        self.begin()
        path = self.shard(model, number)
        self.story.cut_off(80)
        assert self.story.names() == ["out.partial"]
        way(path)
        return self.go_on(path, f"{way.__name__}, {model}, {number}, between")

    def go_on(self, path: Path, where: str) -> str:
        """Resume; returns what happened."""
        error = error_of(self.story.plan)
        if error is not None:  # it is no model any more
            assert path.parent.name in error.message, where
            return "no plan"
        error = error_of(self.story.run, resume=True)
        if error is not None:
            assert str(path.parent) in error.message, where
            assert "cannot go on" in error.message, where
            assert error.kept == staging_path(self.story.out), where
            discard(staging_path(self.story.out))
            self.story.run()
        assert same_output(contents(self.story.out), self.fresh()), f"{where}: silently wrong"
        return "resumed" if error is None else "refused"


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if request.node.get_closest_marker("slow"):  # a disk may give a new file the number of an old one
        yield tmp_path_factory.mktemp("disk")
    else:
        with quick_folder() as folder:
            yield folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "inputs"
    make_sharded(folder)
    return folder


@pytest.fixture
def changing(template: Path, tmp_path: Path) -> Changing:
    return Changing(template, tmp_path)


@pytest.mark.parametrize("way", SILENT)
def test_what_was_silently_wrong_is_refused(changing: Changing, way: Callable[[Path], None]) -> None:
    for state in ("open", "unopened"):
        assert changing.while_it_runs(way, "model-1", state).startswith("refused, then re")


@pytest.mark.parametrize("way", [way for way in WAYS if way not in SILENT][::2])
def test_a_file_that_changes(changing: Changing, way: Callable[[Path], None]) -> None:
    at = WAYS.index(way)
    assert changing.while_it_runs(way, MODELS[at % 3], STATES[at % 2]).startswith("refused")
    changing.between(way, MODELS[(at + 1) % 3], 1)


@pytest.mark.parametrize("way", [in_place, replaced, touched])
def test_what_changed_while_it_was_read_is_read_again(
    changing: Changing, way: Callable[[Path], None]
) -> None:
    """The refusal says to go on when nothing writes the file any more."""
    assert changing.while_it_runs(way, "model-2", "open") == "refused, then resumed"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["parameter_selection", "slerp"])
@pytest.mark.parametrize("way", WAYS)
def test_any_file_that_changes(
    template: Path, tmp_path: Path, way: Callable[[Path], None], method: str
) -> None:
    changing = Changing(template, tmp_path, method)
    happened = []
    for model in MODELS[: 2 if method == "slerp" else 3]:
        happened += [changing.while_it_runs(way, model, state) for state in STATES]
        happened += [f"between: {changing.between(way, model, number)}" for number in (1, SHARDS)]
    print(f"\n{way.__name__}, {method}:", end=" ")
    print(", ".join(f"{happened.count(what)} {what}" for what in sorted(set(happened))))
