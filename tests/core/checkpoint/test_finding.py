"""Which files are a model's weights, whatever they are called; and what is no model is called what it is."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from core.checkpoint.headers import encode_header
from core.checkpoint.model import model_names, open_checkpoint
from core.dtypes import DTYPES
from core.errors import CheckpointError


def _weights(*names: str) -> bytes:
    entries = {name: (DTYPES["F32"], (2,), 8 * at, 8 * at + 8) for at, name in enumerate(names)}
    return encode_header(entries) + bytes(8 * len(names))


def _fill(folder: Path, files: Mapping[str, Sequence[str] | str | bytes]) -> Path:
    """Files of tensors of these names, or of this text."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            path.write_bytes(_weights(*content))
    return folder


def _index(**files: str) -> str:
    return json.dumps({"weight_map": files})


@pytest.mark.parametrize(
    ("files", "expected", "weights_name"),
    [
        ({"model.safetensors": "a", "model.fp16.safetensors": "x"}, "a", "model"),
        ({"model.fp16.safetensors": "a"}, "a", "model"),
        ({"model.safetensors": "a", "consolidated.safetensors": "x"}, "a", "model"),
        ({"consolidated.safetensors": "a", "params.json": "{}"}, "a", "consolidated"),
        ({"consolidated-00001-of-00002.safetensors": "a", "consolidated-00002-of-00002.safetensors": "b"},)
        * 1
        + ("ab", "consolidated"),
        ({"diffusion_pytorch_model.safetensors": "a"}, "a", "diffusion_pytorch_model"),
        ({"diffusion_pytorch_model.fp16.safetensors": "a"}, "a", "diffusion_pytorch_model"),
        ({"whatever.safetensors": "a"}, "a", "model"),
        ({"model-00001-of-00002.safetensors": "a", "model-00002-of-00002.safetensors": "b"}, "ab", "model"),
        ({"model-00001-of-000002.safetensors": "a", "model-00002-of-000002.safetensors": "b"}, "ab", "model"),
        (
            {
                "model.safetensors-00001-of-00002.safetensors": "a",
                "model.safetensors-00002-of-00002.safetensors": "b",
            },
            "ab",
            "model",
        ),
        ({"model-00000-of-00002.safetensors": "a", "model-00001-of-00002.safetensors": "b"}, "ab", "model"),
        (
            {
                "model.fp16-00001-of-00002.safetensors": "a",
                "model.fp16-00002-of-00002.safetensors": "b",
            },
            "ab",
            "model",
        ),
        (
            {
                "model-00001-of-00002.fp16.safetensors": "a",
                "model-00002-of-00002.fp16.safetensors": "b",
            },
            "ab",
            "model",
        ),
        ({"model.safetensors.index.json": _index(a="s/x.safetensors"), "s/x.safetensors": "a"}, "a", "model"),
        ({"model.safetensors.index.json": _index(a="./x.safetensors"), "x.safetensors": "a"}, "a", "model"),
        (
            {"model.safetensors.index.fp16.json": _index(a="x.safetensors"), "x.safetensors": "a"},
            "a",
            "model",
        ),
        (
            {"model.fp16.safetensors.index.json": _index(a="x.safetensors"), "x.safetensors": "a"},
            "a",
            "model",
        ),
        (
            {
                "diffusion_pytorch_model.safetensors.index.json": _index(a="y.safetensors"),
                "y.safetensors": "a",
            },
            "a",
            "diffusion_pytorch_model",
        ),
        ({"model.safetensors": "a", "pytorch_model.bin": b"x"}, "a", "model"),
        ({"model.safetensors": "a", "optimizer.pt": b"x", "training_args.bin": b"x"}, "a", "model"),
        ({"model.safetensors": "a", ".cache/x.safetensors": "x", "._model.safetensors": b"x"}, "a", "model"),
        (
            {"model.safetensors": "a", "adapter_config.json": "{}", "adapter_model.safetensors": "x"},
            "a",
            "model",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_weights_of_many_names(
    tmp_path: Path, files: dict[str, str | bytes], expected: str, weights_name: str
) -> None:
    _fill(
        tmp_path,
        {
            name: tuple(content) if isinstance(content, str) and name.endswith(".safetensors") else content
            for name, content in files.items()
        },
    )
    checkpoint = open_checkpoint(tmp_path)
    assert sorted(checkpoint.tensors) == list(expected)
    assert checkpoint.weights_name == weights_name
    assert (checkpoint.shared, checkpoint.components) == ({}, {})


@pytest.mark.parametrize(
    ("files", "problem", "hint"),
    [
        (["model-00001-of-00003.safetensors"], "lacks 2 of the 3 parts", "copy or download"),
        (["model-00001-of-00003.safetensors"], "model-00002-of-00003.safetensors, model-00003", "copy"),
        (
            ["model-00001-of-00002.safetensors", "model-00001-of-00003.safetensors"],
            "several sets, of 2 and of 3 files",
            "one set",
        ),
        (["model.fp16.safetensors", "model.bf16.safetensors"], "several variants", "model.bf16.safetensors"),
        (["x.safetensors", "y.safetensors"], "has 2 safetensors files and no model.saf", "x.safetensors"),
        (["consolidated.00.pth", "consolidated.01.pth"], "2 parts of a model that was cut", "transformers"),
    ],
)
def test_weights_that_are_no_one_model(tmp_path: Path, files: list[str], problem: str, hint: str) -> None:
    _fill(tmp_path, {name: ["a"] for name in files})
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(tmp_path)
    assert problem in raised.value.message
    assert hint in (raised.value.hint or "")


def test_parts_without_an_index_that_repeat_a_name(tmp_path: Path) -> None:
    _fill(tmp_path, {f"model-0000{number}-of-00002.safetensors": ["a"] for number in (1, 2)})
    with pytest.raises(CheckpointError, match="tensor 'a' stands in two shards"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "file", ["../x.safetensors", "/x.safetensors", "a/../x.safetensors", "a//x", ".", ""]
)
def test_an_index_that_leads_elsewhere(tmp_path: Path, file: str) -> None:
    folder = _fill(tmp_path / "m", {"model.safetensors.index.json": _index(a=file), "a/x": ["a"]})
    _fill(tmp_path, {"x.safetensors": ["a"]})
    with pytest.raises(CheckpointError, match="which is not a file name"):
        open_checkpoint(folder)


def test_a_file_as_the_model(tmp_path: Path) -> None:
    folder = _fill(
        tmp_path / "m",
        {
            "one.safetensors": ["a"],
            "two.safetensors": ["b"],
            "model.fp16.safetensors.index.json": _index(b="two.safetensors"),
            "model-00001-of-00002.safetensors": ["c"],
            "config.json": '{"model_type": "llama"}',
            "notes.txt": "x",
        },
    )
    one = open_checkpoint(folder / "one.safetensors")
    assert (one.folder, one.name, one.architecture, list(one.tensors)) == (folder, "one", "llama", ["a"])
    assert list(open_checkpoint(folder / "model.fp16.safetensors.index.json").tensors) == ["b"]
    with pytest.raises(CheckpointError, match="is one of 2 parts of a model"):
        open_checkpoint(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"notes.txt is a file, not a model folder"):
        open_checkpoint(folder / "notes.txt")


@pytest.mark.parametrize("name", ["pipe", "pipe.safetensors"])
def test_a_pipe_as_the_model(tmp_path: Path, name: str) -> None:
    _fill(tmp_path, {"model.safetensors": ["a"]})
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name} is not a file but a named pipe"):
        open_checkpoint(tmp_path / name)


def test_names_of_files() -> None:
    places = [Path("/x/a/model.safetensors"), Path("/x/b/model.safetensors"), Path("/x/c/tuned.bin")]
    assert model_names(places) == ["a/model", "b/model", "tuned"]


def test_a_run_with_one_checkpoint(tmp_path: Path) -> None:
    run = _fill(tmp_path / "run", {"checkpoint-500/model.safetensors": ["a"], "runs/x": "x"})
    checkpoint = open_checkpoint(run)
    assert (checkpoint.folder, checkpoint.name) == (run / "checkpoint-500", "run")
    _fill(run, {"checkpoint-1000/model.safetensors": ["b"]})
    with pytest.raises(CheckpointError, match="2 checkpoints of a training run") as raised:
        open_checkpoint(run)
    assert str(raised.value.hint).endswith(str(run / "checkpoint-1000"))
    _fill(run, {"model.safetensors": ["c"]})
    assert list(open_checkpoint(run).tensors) == ["c"]


def test_a_folder_of_training_runs_names_their_models(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    _fill(
        runs, {"training.json": "{}", "order-2/log.jsonl": "", "order-10/resume/step-3/model.safetensors": []}
    )
    with pytest.raises(CheckpointError, match="runs, and none of them has saved a model yet") as raised:
        open_checkpoint(runs)
    assert "`paramosaic train` goes on" in str(raised.value.hint)
    _fill(runs, {"base/model.safetensors": ["a"], "order-10/epoch-1/model.safetensors": ["a"]})
    with pytest.raises(
        CheckpointError, match=r"no model itself: it holds the model \(order-10/epoch-1\)$"
    ) as raised:
        open_checkpoint(runs)
    assert raised.value.hint == f"name it: {runs / 'order-10' / 'epoch-1'}"
    _fill(runs, {f"order-2/epoch-{epoch}/model.safetensors": ["a"] for epoch in (9, 10)})
    _fill(runs, {"recipe.yaml": "x"})
    with pytest.raises(
        CheckpointError, match=r"the models of 2 orders \(order-2/epoch-10, order-10/epoch-1\)"
    ) as raised:
        open_checkpoint(runs)
    first, recipe = runs / "order-2" / "epoch-10", runs / "recipe.yaml"
    assert raised.value.hint == f"name one of them, such as {first}; {recipe} merges them"


def test_a_folder_of_the_hubs_cache(tmp_path: Path) -> None:
    root = _fill(
        tmp_path / "models--org--name", {"snapshots/abc/model.safetensors": ["a"], "refs/main": "gone"}
    )
    checkpoint = open_checkpoint(root)
    assert (checkpoint.folder, checkpoint.name) == (root / "snapshots" / "abc", "org/name")
    _fill(root, {"snapshots/def/model.safetensors": ["b"]})
    with pytest.raises(CheckpointError, match="2 snapshots"):
        open_checkpoint(root)
    _fill(root, {"refs/main": "def\n"})
    assert list(open_checkpoint(root).tensors) == ["b"]


@pytest.mark.parametrize(
    ("files", "problem", "hint"),
    [
        ({"global_step10/mp_rank_00_model_states.pt": b"x"}, "a checkpoint of DeepSpeed", "zero_to_fp32"),
        ({"zero_to_fp32.py": "", "latest": ""}, "a checkpoint of DeepSpeed", "zero_to_fp32.py"),
        ({"mp_rank_00_model_states.pt": b"x"}, "a checkpoint of DeepSpeed", "zero_to_fp32.py"),
        ({"__0_0.distcp": b"x", ".metadata": b"x"}, "of FSDP", "accelerate merge-weights"),
        ({"pytorch_model_fsdp_0/__0_0.distcp": b"x"}, "of FSDP", "accelerate merge-weights"),
        ({"latest_checkpointed_iteration.txt": "5", "iter_0000005/x": b""}, "of Megatron", "export"),
        ({"model-Q4_K_M.gguf": b"GGUF"}, "GGUF weights", "made from"),
        ({"adapter_config.json": "{}"}, "no adapter_model.safetensors", "missing file"),
        ({"adapter_model.safetensors": ["a"]}, "no adapter_config.json", "copy adapter_config.json"),
        (
            {"adapter_model.bin": b"x", "x.safetensors": ["a"]},
            "no adapter_config.json",
            "copy adapter_config",
        ),
        ({"one/config.json": "{}", "two/model.safetensors": ["a"]}, "2 model folders (one, two)", "one"),
        ({"inner/config.json": "{}"}, "the model folder inner", "inner"),
        ({"tf_model.h5": b"x", "config.json": "{}"}, "TensorFlow weights", "from_tf"),
        ({"model.ckpt.index": b"x"}, "TensorFlow weights", "from_tf"),
        ({"flax_model.msgpack": b"x"}, "Flax weights", "from_flax"),
        ({"onnx/model.onnx": b"x", "config.json": "{}"}, "an ONNX model", "made from"),
        ({"last.ckpt": b"x"}, "PyTorch Lightning", "python -c"),
        ({"weights.npz": b"x"}, "NumPy or MLX", "made from"),
        (
            {"optimizer.pt": b"x", "training_args.bin": b"x"},
            "what a training run keeps",
            "saved the model to",
        ),
        ({"model.safetensors.incomplete": b"x"}, "a download that is not finished", "hf download"),
        ({"config.json": "{}"}, "there is neither model.safetensors", "choose the folder"),
        ({".gitignore": ""}, "holds no model: it is empty", "choose the folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_no_model(tmp_path: Path, files: dict[str, bytes], problem: str, hint: str) -> None:
    _fill(tmp_path / "m", files)
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(tmp_path / "m")
    assert str(tmp_path / "m") in raised.value.message
    assert problem in raised.value.message
    assert hint in (raised.value.hint or "")


PICKLE = b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94."


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (PICKLE, "a Python pickle"),
        (b"GGUF\3\0\0\0" + bytes(40), "a GGUF file"),
        (b"\n <!doctype HTML>\n<title>404</title>", "an HTML or XML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a pointer of Git LFS"),
        (b"\x1f\x8b\x08\0" + bytes(40), "a gzip archive"),
        (b"Entry not found, whatever was asked", "a text file"),
        (b'{"error": "Invalid credentials in Authorization header"}', "a text file"),
        (bytes(1000), "filled with zeros"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_other_files_under_the_names_of_weights(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} is {what}") as raised:
        open_checkpoint(tmp_path)
    assert raised.value.hint


def test_a_pickle_under_the_name_of_safetensors(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", PICKLE)
    with pytest.raises(CheckpointError, match=r"is a pickle that torch.save wrote and not a saf") as raised:
        open_checkpoint(tmp_path)
    assert f"mv {tmp_path}/model.safetensors {tmp_path}/pytorch_model.bin" in str(raised.value.hint)
    with zipfile.ZipFile(tmp_path / "model.safetensors", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(CheckpointError, match="is a zip archive and not a safetensors file"):
        open_checkpoint(tmp_path)


def test_components_of_a_pipeline(tmp_path: Path) -> None:
    index = {
        "_class_name": "P",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
        "requires_safety_checker": True,
    }
    _fill(
        tmp_path,
        {
            "model_index.json": json.dumps(index),
            "unet/diffusion_pytorch_model.safetensors": ["conv.weight"],
            "text_encoder/model.safetensors": ["w"],
            "tokenizer/vocab.json": "{}",
            "v1-5-pruned.safetensors": ["loose"],
        },
    )
    checkpoint = open_checkpoint(tmp_path)
    assert set(checkpoint.tensors) == {"unet/conv.weight", "text_encoder/w"}
    assert checkpoint.components == {"unet": "diffusion_pytorch_model", "text_encoder": "model"}
    stored = checkpoint.tensors["unet/conv.weight"]
    assert (stored.name, stored.path.parent.name) == ("unet/conv.weight", "unet")
    assert list(open_checkpoint(tmp_path / "unet").tensors) == ["conv.weight"]
    (tmp_path / "text_encoder" / "model.safetensors").unlink()
    _fill(tmp_path, {"text_encoder/config.json": "{}"})
    with pytest.raises(CheckpointError, match="text_encoder holds no model"):
        open_checkpoint(tmp_path)
    _fill(tmp_path, {"model_index.json": json.dumps(index | {"vae": ["diffusers", "AutoencoderKL"]})})
    with pytest.raises(CheckpointError, match="names the component vae, which is missing"):
        open_checkpoint(tmp_path)


def test_modules_of_a_sentence_encoder(tmp_path: Path) -> None:
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    _fill(
        tmp_path,
        {
            "modules.json": json.dumps(modules),
            "model.safetensors": ["w"],
            "1_Pooling/config.json": "{}",
            "2_Dense/model.safetensors": ["linear.weight"],
        },
    )
    checkpoint = open_checkpoint(tmp_path)
    assert set(checkpoint.tensors) == {"w", "2_Dense/linear.weight"}
    assert checkpoint.components == {"2_Dense": "model"}
    (tmp_path / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"module 2_Dense .*weights are missing"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../base", "/etc", "..", "a/b", "\0"])
def test_components_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    _fill(
        tmp_path,
        {"modules.json": json.dumps([{"path": name, "type": "x.Dense"}]), "a/b/model.safetensors": ["x"]},
    )
    with pytest.raises(CheckpointError, match="is not a folder in it"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("call", ["listdir", "stat"])
def test_a_folder_that_cannot_be_entered(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path / "m", {"model.safetensors": ["a"]})

    def refuse(path: object, *more: object, **named: object) -> object:
        if str(path).startswith(str(tmp_path / "m")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return kept(path, *more, **named)  # type: ignore[operator]

    kept = getattr(os, call)
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(CheckpointError, match="Permission denied"):
        open_checkpoint(tmp_path / "m")
