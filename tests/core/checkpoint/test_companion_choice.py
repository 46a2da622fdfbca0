"""Whose small files go into an output, which come along, which stay, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint.companions import Companions, Givers, companion_files, companion_warnings

CONFIG = {"model_type": "llama", "vocab_size": 8}
TOKENIZER = {"tokenizer.json": {"model": {"vocab": {"a": 0}}}, "tokenizer_config.json": {"eos_token": "a"}}
OTHER_TOKENIZER = {"tokenizer.json": {"model": {"vocab": {"b": 0}}}, "special_tokens_map.json": {"pad": "b"}}


def _fill(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    for name, content in {"config.json": CONFIG, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


class Kitchen:
    """Models a, b, c, … with these files, and a base where there is one."""

    def __init__(self, place: Path, *models: dict[str, Any], **others: dict[str, Any]) -> None:
        folders = tuple(_fill(place / "abc"[number], files) for number, files in enumerate(models))
        base = _fill(place / "base", others["base"]) if "base" in others else None
        source = _fill(place / "source", others["source"]) if "source" in others else None
        self.givers = Givers(folders, base, source)

    def cook(self) -> tuple[dict[str, bytes], Companions]:
        found = companion_files(self.givers, vocabulary=8, dtype_name="bfloat16", inputs=self.givers.models)
        assert companion_warnings(self.givers) == list(found.warnings)
        return {name: b"".join(file.chunks()) for name, file in found.files.items()}, found


NEEDED = [
    *("spm.model", "source.spm", "target.spm", "tiktoken.model", "qwen.tiktoken", "bpe.codes", "vocab.bpe"),
    *("encoder.json", "normalizer.json", "preprocessor_config.json", "processor_config.json", "params.json"),
    *("feature_extractor_config.json", "image_processor_config.json", "video_preprocessor_config.json"),
    *("tekken.json", "LICENSE", "LICENSE.txt", "Notice.txt", "USE_POLICY.md", "chat_template.jinja"),
    *("additional_chat_templates/tools.jinja", "generation_config.json", "target_vocab.json", "vocab.txt"),
    *("sentencepiece.bpe.model", "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("dict.txt", "entity_vocab.json", "word_shape.json", "tokenizer.model.v3", "LICENSE.md"),
]


@pytest.mark.parametrize("name", NEEDED)
def test_what_a_model_needs_comes_along(tmp_path: Path, name: str) -> None:
    files, found = Kitchen(tmp_path, {**TOKENIZER, name: '{"a": "b"}'}).cook()
    assert files[name] == b'{"a": "b"}'
    assert name not in found.left_out


@pytest.mark.parametrize(
    "name",
    [
        *(
            "pytorch_model.bin",
            "model.gguf",
            "tf_model.h5",
            "pytorch_model.bin.index.json",
            "flax_model.msgpack",
        ),
        *("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "trainer_state.json", "training_args.bin"),
        *("all_results.json", "README.md", "plot.png", "adapter_config.json", "quantize_config.json"),
        *("paramosaic.json", "mergekit_config.yml", "notes.txt", "convert.py", "onnx/model.onnx"),
    ],
)
def test_what_it_does_not_need_is_listed(tmp_path: Path, name: str) -> None:
    files, found = Kitchen(tmp_path, {**TOKENIZER, name: b"xyz"}).cook()
    assert name not in files
    assert found.left_out[name.split("/")[0]]


@pytest.mark.parametrize("name", [".gitattributes", ".cache/x", "__pycache__/x.pyc", ".DS_Store"])
def test_hidden_files_are_not_even_listed(tmp_path: Path, name: str) -> None:
    files, found = Kitchen(tmp_path, {**TOKENIZER, name: b"xyz"}).cook()
    assert name not in files
    assert not found.left_out
    assert not found.warnings


def test_a_file_that_nobody_knows_is_warned_of(tmp_path: Path) -> None:
    _, found = Kitchen(tmp_path, {**TOKENIZER, "voices.dat": b"x", "plot.png": b"x"}).cook()
    assert found.warnings == (
        "not copied, as nothing says that the model needs them: voices.dat; copy them into the result "
        "if it does",
    )


def test_a_file_that_the_tokenizer_names(tmp_path: Path) -> None:
    files, _ = Kitchen(
        tmp_path,
        {"tokenizer_config.json": {"vocab_file": "letters.dat", "x_file": "../a"}, "letters.dat": "a"},
    ).cook()
    assert files["letters.dat"] == b"a"


# -- whose


def test_where_the_sub_models_agree(tmp_path: Path) -> None:
    same = {**TOKENIZER, "generation_config.json": {"top_p": 1, "transformers_version": "4"}}
    other = {**TOKENIZER, "generation_config.json": {"transformers_version": "5", "top_p": 1}}
    files, found = Kitchen(tmp_path, same, other, base={"generation_config.json": {"top_p": 9}}).cook()
    assert json.loads(files["generation_config.json"])["top_p"] == 1
    assert not found.warnings


def test_where_they_do_not_the_first_ones_and_a_warning(tmp_path: Path) -> None:
    models = [{**TOKENIZER, "preprocessor_config.json": {"size": size}} for size in (1, 2, 1)]
    files, found = Kitchen(tmp_path, *models).cook()
    assert json.loads(files["preprocessor_config.json"]) == {"size": 1}
    assert found.warnings == ("preprocessor_config.json comes from a: that of b differs",)


def test_what_only_the_second_has_and_what_only_the_base_has(tmp_path: Path) -> None:
    files, found = Kitchen(
        tmp_path,
        TOKENIZER,
        {**TOKENIZER, "processor_config.json": "{}"},
        base={**OTHER_TOKENIZER, "LICENSE": "free", "processor_config.json": '{"x": 1}'},
    ).cook()
    assert (files["LICENSE"], files["processor_config.json"]) == (b"free", b"{}")
    assert not found.warnings


def test_a_tokenizer_is_never_mixed(tmp_path: Path) -> None:
    files, found = Kitchen(tmp_path, TOKENIZER, OTHER_TOKENIZER, base=OTHER_TOKENIZER).cook()
    assert json.loads(files["tokenizer.json"]) == TOKENIZER["tokenizer.json"]
    assert "special_tokens_map.json" not in files
    assert found.warnings == (
        "the tokenizer comes from a: tokenizer.json of b differs; tokenizer_source takes another one",
    )


def test_the_first_that_has_a_tokenizer(tmp_path: Path) -> None:
    lone = {"special_tokens_map.json": {"x": 1}}
    files, _ = Kitchen(tmp_path, lone, TOKENIZER, base=OTHER_TOKENIZER).cook()
    assert json.loads(files["tokenizer.json"]) == TOKENIZER["tokenizer.json"]
    assert "special_tokens_map.json" not in files


def test_the_base_where_no_sub_model_has_a_tokenizer(tmp_path: Path) -> None:
    files, found = Kitchen(tmp_path, {}, {}, base=TOKENIZER).cook()
    assert {"tokenizer.json", "tokenizer_config.json"} <= files.keys()
    assert not found.warnings


def test_nobody_has_a_tokenizer(tmp_path: Path) -> None:
    assert Kitchen(tmp_path, {}, {}).cook()[1].warnings == (
        "a has no tokenizer, so the result has none either",
    )


def test_a_tokenizer_source(tmp_path: Path) -> None:
    source = {**OTHER_TOKENIZER, "generation_config.json": '{"s": 1}', "config.json": {**CONFIG, "from": "s"}}
    models = [{**TOKENIZER, "preprocessor_config.json": "{}", "generation_config.json": "{}"}] * 2
    files, found = Kitchen(tmp_path, *models, source=source).cook()
    assert json.loads(files["tokenizer.json"]) == OTHER_TOKENIZER["tokenizer.json"]
    assert "tokenizer_config.json" not in files
    assert (files["generation_config.json"], files["preprocessor_config.json"]) == (b'{"s": 1}', b"{}")
    assert json.loads(files["config.json"])["from"] == "s"
    assert not found.warnings


# -- chat templates


@pytest.mark.parametrize("embedded", [False, True])
def test_a_template_that_the_first_lacks(tmp_path: Path, embedded: bool) -> None:
    config = {**TOKENIZER["tokenizer_config.json"], "chat_template": "T"}
    having = {
        **TOKENIZER,
        **({"tokenizer_config.json": config} if embedded else {"chat_template.jinja": "T"}),
    }
    files, found = Kitchen(tmp_path, TOKENIZER, having).cook()
    assert files["chat_template.jinja"] == b"T"
    assert "the chat template comes from b: a has none" in found.warnings


def test_a_template_for_another_tokenizer(tmp_path: Path) -> None:
    files, found = Kitchen(tmp_path, TOKENIZER, {**OTHER_TOKENIZER, "chat_template.jinja": "T"}).cook()
    assert "chat_template.jinja" not in files
    assert found.warnings[-1] == (
        "the result has no chat template, as a, whose tokenizer is taken, has none; b has one, and "
        "tokenizer_source takes it"
    )


def test_templates_that_differ(tmp_path: Path) -> None:
    models = [{**TOKENIZER, "chat_template.jinja": text} for text in "TTU"]
    files, found = Kitchen(tmp_path, *models).cook()
    assert files["chat_template.jinja"] == b"T"
    assert found.warnings == ("the chat template comes from a: c has another one",)


# -- empty, dangling


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "chat_template.jinja"])
@pytest.mark.parametrize("kind", ["empty", "dangling"])
def test_what_is_empty_or_leads_nowhere(tmp_path: Path, name: str, kind: str) -> None:
    kitchen = Kitchen(tmp_path, {**TOKENIZER, name: b""}, {**TOKENIZER, "preprocessor_config.json": "{}"})
    if kind == "dangling":
        (tmp_path / "a" / name).unlink()
        (tmp_path / "a" / name).symlink_to("gone")
    files, found = kitchen.cook()
    said = "is empty (0 bytes)" if kind == "empty" else "is a link that leads nowhere"
    assert any(f"{name} of a {said}" in warning for warning in found.warnings)
    assert all(files.values())
    if name == "preprocessor_config.json":
        assert files[name] == b"{}"


# -- folders that a model names

POOLING = {
    "modules.json": [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
        {"idx": 4, "path": "../b", "type": "x"},
    ],
    "1_Pooling/config.json": {"pooling_mode_cls_token": True},
    "2_Dense/config.json": {"in_features": 8},
    "2_Dense/model.safetensors": b"weights",
    "2_Dense/pytorch_model.bin": b"weights",
}


def test_modules_of_a_sentence_encoder(tmp_path: Path) -> None:
    other = {**POOLING, "1_Pooling/config.json": {"pooling_mode_cls_token": False}}
    files, found = Kitchen(tmp_path, {**TOKENIZER, **POOLING}, {**TOKENIZER, **other}).cook()
    assert json.loads(files["1_Pooling/config.json"]) == {"pooling_mode_cls_token": True}
    assert "2_Dense/config.json" in files
    assert not any("weights" in str(content) or ".." in name for name, content in files.items())
    assert found.warnings == ("1_Pooling/config.json of b differs: that of a goes into the result",)


def test_a_pipeline(tmp_path: Path) -> None:
    files, _ = Kitchen(
        tmp_path,
        {
            "model_index.json": {
                "_class_name": "X",
                "unet": ["diffusers", "U"],
                "scheduler": ["diffusers", "S"],
                "tokenizer": ["transformers", "T"],
                "own": ["pipe", "P"],
            },
            "unet/config.json": "{}",
            "unet/diffusion_pytorch_model.safetensors": b"w",
            "scheduler/scheduler_config.json": "{}",
            "tokenizer/vocab.json": "{}",
            "tokenizer/merges.txt": "a b",
            "own/pipe.py": "",
            "vae/config.json": "{}",
        },
    ).cook()
    assert files.keys() == {
        *("config.json", "model_index.json", "unet/config.json", "scheduler/scheduler_config.json"),
        *("tokenizer/vocab.json", "tokenizer/merges.txt", "own/pipe.py"),
    }


# -- code

CODE = {
    "config.json": {**CONFIG, "auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "org/repo--conf.C"}},
    "modeling_x.py": "import os\nfrom .layers import (\n    A,\n)\nfrom . import ops, B\n",
    "layers.py": "from .deep.core import C\n",
    "ops.py": "",
    "deep/__init__.py": "from .more import M\n",
    "deep/core.py": "from ..shared import S\n",
    "deep/more.py": "",
    "shared.py": "",
    "conf.py": "",
    "train.py": "",
}


def test_code_that_the_config_names_and_what_it_imports(tmp_path: Path) -> None:
    files, found = Kitchen(tmp_path, CODE).cook()
    assert {name for name in files if name.endswith(".py")} == CODE.keys() - {
        "config.json",
        "conf.py",
        "train.py",
    }
    assert "train.py" in found.left_out


@pytest.mark.parametrize("name", ["tokenizer_config.json", "processor_config.json"])
def test_code_that_only_another_config_names(tmp_path: Path, name: str) -> None:
    named = {**TOKENIZER, name: {"auto_map": {"AutoTokenizer": ["x_code.X", None]}}, "x_code.py": "1"}
    assert Kitchen(tmp_path, named).cook()[0]["x_code.py"] == b"1"


def test_code_of_the_model_and_of_a_tokenizer_from_elsewhere(tmp_path: Path) -> None:
    source = {
        "config.json": None,
        "vocab.txt": "a",
        "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tok.T", None]}},
        "tok.py": "source",
        "modeling_x.py": "source",
    }
    files, _ = Kitchen(tmp_path, {**CODE, "tok.py": "a"}, source=source).cook()
    assert (files["tok.py"], files["ops.py"]) == (b"source", b"")
    assert files["modeling_x.py"] == str(CODE["modeling_x.py"]).encode()


def test_code_that_is_missing_is_said(tmp_path: Path) -> None:
    gone = {name: content for name, content in CODE.items() if name != "modeling_x.py"}
    assert any(
        "names modeling_x.py, which is missing" in one for one in Kitchen(tmp_path, gone).cook()[1].warnings
    )


# -- the config


def test_packing_is_not_said_of_the_output(tmp_path: Path) -> None:
    packed = {"quantization_config": {"bits": 4}, "compression_config": {}, "x": 1}
    config = {**CONFIG, **packed, "text_config": dict(packed)}
    written = json.loads(Kitchen(tmp_path, {"config.json": config}).cook()[0]["config.json"])
    assert written == {**CONFIG, "x": 1, "text_config": {"x": 1}, "torch_dtype": "bfloat16"}


@pytest.mark.parametrize("key", ["id2label", "label2id", "label_names", "lang_code_to_id", "id2token"])
def test_labels_that_look_like_paths_stay(tmp_path: Path, key: str) -> None:
    value = {"0": "/home/alice/x", "/mnt/y": 1} if "2" in key or "_to_" in key else ["/home/alice/x"]
    config = {**CONFIG, "vision_config": {key: value}, key: value, "trained_in": "/home/alice"}
    written = json.loads(Kitchen(tmp_path, {"config.json": config}).cook()[0]["config.json"])
    assert (written[key], written["vision_config"][key]) == (value, value)
    assert "trained_in" not in written
