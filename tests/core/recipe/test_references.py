"""How a recipe names its models: folders whatever they are called, mergekit's spellings, the Hub's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.adapter_paths import split_adapters
from core.errors import CheckpointError, RecipeError
from core.plan.planning import plan_merge
from core.recipe.parsing import parse_recipe
from core.recipe.writing import recipe_as_dict

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "hub"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


def read(model: Any, folder: Path) -> Path:
    data = {"merge_method": "linear", "models": [{"model": "first"}, {"model": model}]}
    return parse_recipe(data, folder).models[1].path


def refused(model: Any, folder: Path) -> RecipeError:
    with pytest.raises(RecipeError) as raised:
        read(model, folder)
    assert (raised.value.field, raised.value.entry) == ("models", 1)
    return raised.value


def download(cache: Path, name: str, ref: str = "main") -> Path:
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / ref).write_text(COMMIT)
    (place / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
    return place / "snapshots" / COMMIT


@pytest.mark.parametrize(
    "model",
    [
        {"model": "a"},
        {"model": {"path": "a"}},
        {"model": {"path": "a", "revision": None}, "lora": None, "override_architecture": None},
    ],
)
def test_the_long_form(folder: Path, model: Any) -> None:
    assert read(model, folder) == folder / "a"


def test_what_the_long_form_says_beside_the_path(folder: Path) -> None:
    error = refused({"model": "a", "override_architecture": "LlamaForCausalLM"}, folder)
    assert error.message.startswith(
        "models, entry 2: model: the key 'override_architecture' of mergekit is not supported yet"
    )
    assert "take it out" in str(error.hint)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"model": "a+b"}, ("a", "b")),
        ({"model": "./a+b+c"}, ("a", "b", "c")),
        ({"model": {"model": "a", "lora": "b"}}, ("a", "b")),
        ({"model": {"model": {"path": "a"}, "lora": {"path": "b"}}}, ("a", "b")),
        ({"model": {"model": {"path": "a"}, "lora": "b"}, "lora": {"path": "c"}}, ("a", "b", "c")),
        ({"model": "a", "lora": "b"}, ("a", "b")),
        ({"model": "a", "revision": "main"}, ("a",)),
        ({"model": "x+y"}, ("x+y",)),
        ({"model": "x+y+b"}, ("x+y", "b")),
    ],
    ids=str,
)
def test_adapters_on_a_model(folder: Path, entry: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Those that are there; a folder with a plus sign in its name is one folder."""
    for name in ("a", "b", "c", "x+y"):
        (folder / name).mkdir()
    data = {"merge_method": "linear", "models": [{"model": "other"}, entry]}
    recipe = parse_recipe(data, folder)
    path = recipe.models[1].path
    assert split_adapters(path) == tuple(folder / name for name in expected)
    again = parse_recipe(recipe_as_dict(recipe), folder.parent)
    assert again.models[1].path == path


def test_a_revision_that_was_downloaded(folder: Path, cache: Path) -> None:
    snapshot = download(cache, "org/a", ref="v1")
    assert read({"model": {"path": "org/a", "revision": "v1"}}, folder) == snapshot
    (folder / "b").mkdir()
    assert split_adapters(read("org/a@v1+b", folder)) == (snapshot, folder / "b")
    assert "no revision 'v1'" in refused({"model": {"path": "b", "revision": "v1"}}, folder).message
    error = refused({"model": {"path": "org/a", "revision": "v2"}}, folder)
    assert "`hf download org/a --revision v2 --local-dir FOLDER`" in str(error.hint)


def test_the_path_alone_in_a_mapping(folder: Path) -> None:
    assert refused({"path": "a"}, folder).hint == "write the path itself"


@pytest.mark.parametrize("model", ["org/a+org/b", "a+b", "./base+/adapters/b", "org/a@main+org/b"])
def test_an_adapter_on_a_model(folder: Path, model: str) -> None:
    (folder / "base").mkdir()
    error = refused(model, folder)
    base, adapter = model.split("+")
    assert f"the adapter '{adapter}' on the model '{base}'" in error.message
    assert "is not there" in error.message
    assert "as BASE+ADAPTER" in str(error.hint)


def test_a_revision(folder: Path) -> None:
    error = refused("org/a@v1.0", folder)
    assert "the revision 'v1.0' of 'org/a'" in error.message
    assert "`hf download org/a --revision v1.0 --local-dir FOLDER`" in str(error.hint)
    (folder / "base").mkdir()
    assert str(refused("./base@v1", folder).hint) == "download that revision and name its folder"


@pytest.mark.parametrize("name", ["a+b", "a@b", "llama+code@v2"])
def test_a_folder_that_is_there_is_a_folder(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    assert read(name, folder) == folder / name


def test_signs_in_a_path_that_is_not_there(folder: Path) -> None:
    for path in ("/models/c++/a", "/srv/me@home/a"):
        assert read(path, folder) == Path(path)  # planning says that it is not there


def test_a_model_that_is_not_here_is_refused_by_planning(folder: Path) -> None:
    assert read("org/a", folder) == folder / "org/a"  # a recipe opens in the window all the same
    with pytest.raises(CheckpointError) as raised:
        plan_merge(parse_recipe({"merge_method": "linear", "models": [{"model": "org/a"}]}, folder))
    assert raised.value.message == f"the model folder {folder / 'org/a'} does not exist"
    assert "a model on the Hub must be downloaded first" in str(raised.value.hint)


def test_the_cache_of_the_hub(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = download(cache, "org/a")
    assert read("org/a", folder) == snapshot
    assert read(f"org/a@{COMMIT}", folder) == snapshot
    assert "the revision 'v2'" in refused("org/a@v2", folder).message
    download(cache, "org/a", "v2")
    assert read("org/a@v2", folder) == snapshot
    monkeypatch.setenv("HF_HUB_CACHE", str(cache.parent / "elsewhere"))
    assert read("org/a", folder) == folder / "org/a"
    (folder / "org/a").mkdir(parents=True)
    assert read("org/a", folder) == folder / "org/a"  # what is beside the recipe comes first


@pytest.mark.parametrize("ref", ["../../..", "", "a/b", "\x00", "x" * 5000])
def test_a_cache_that_is_damaged(folder: Path, cache: Path, ref: str) -> None:
    download(cache, "org/a")
    (cache / "models--org--a/refs/main").write_text(ref)
    assert read("org/a", folder) == folder / "org/a"
