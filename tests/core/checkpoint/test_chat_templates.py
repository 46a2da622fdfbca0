"""The chat template that a recipe asks for, as transformers reads it from the output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.checkpoint.chat_templates import TEMPLATE_FILE
from core.checkpoint.choosing import Givers
from core.checkpoint.companions import Companions, companion_files
from core.errors import RecipeError
from core.recipe.chat_template import BUILT_IN, read_chat_template

TALK = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]
SAID = {
    "alpaca": "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n### Instruction:\nBye\n\n"
    "### Response:\n",
    "chatml": "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "exaone": "[|system|] Be brief. [|endofturn|]\n[|user|]Hi\n[|assistant|]Hello[|endofturn|]\n[|user|]Bye\n"
    "[|assistant|]",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s> [INST]  Be brief. \n\nHi [/INST] Hello</s> [INST] Bye [/INST]",
}


def model(folder: Path, name: str, template: str | None, *, in_config: bool = False) -> Path:
    place = folder / name
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "llama"}')
    (place / "tokenizer.json").write_text("{}")
    config: dict[str, Any] = {"eos_token": "</s>", "bos_token": "<s>"}
    if template is not None and in_config:
        config["chat_template"] = template
    elif template is not None:
        (place / TEMPLATE_FILE).write_text(template)
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return place


def written(template: str | None, *models: Path, base: Path | None = None) -> Companions:
    return companion_files(
        Givers(models, base), vocabulary=None, dtype_name="bfloat16", inputs=models, chat_template=template
    )


def text_of(found: Companions, name: str = TEMPLATE_FILE) -> str:
    return b"".join(found.files[name].chunks()).decode()


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_known_ones(name: str, tmp_path: Path) -> None:
    found = written(name, model(tmp_path, "a", "{{ 'the own one' }}"))
    # As transformers compiles them.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(text_of(found))
    said = template.render(messages=TALK, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
    assert said == SAID[name]


def test_a_text_of_its_own_is_alone_in_the_output(tmp_path: Path) -> None:
    text = "{% for m in messages %}{{ m.content }}{% endfor %}"
    found = written(
        text, model(tmp_path, "a", "{{ 'old' }}", in_config=True), model(tmp_path, "b", "{{ 'x' }}")
    )
    assert text_of(found) == text
    config = json.loads(text_of(found, "tokenizer_config.json"))
    assert "chat_template" not in config
    assert config["eos_token"] == "</s>"
    assert not any("chat template" in warning for warning in found.warnings)


def test_auto_takes_what_most_have(tmp_path: Path) -> None:
    models = [model(tmp_path, name, text) for name, text in (("a", "{{ 1 }}"), ("b", "{{ 2 }}"), ("c", None))]
    base = model(tmp_path, "base", " {{ 2 }}\n", in_config=True)
    assert text_of(written("auto", *models, base=base)) == "{{ 2 }}"
    assert text_of(written("auto", *models)) == "{{ 1 }}", "the first of several"


def test_auto_where_nobody_has_one(tmp_path: Path) -> None:
    found = written("auto", model(tmp_path, "a", None))
    assert TEMPLATE_FILE not in found.files
    assert "no model has a chat template, and so the result has none" in found.warnings


@pytest.mark.parametrize("value", ["chat", "{{x}}", "no braces in so long a text", 17, ["auto"], ""])
def test_what_is_none(value: Any) -> None:
    with pytest.raises(RecipeError) as raised:
        read_chat_template(value)
    assert raised.value.field == "chat_template"
    assert raised.value.hint


def test_a_slip() -> None:
    with pytest.raises(RecipeError) as raised:
        read_chat_template("chatlm")
    assert raised.value.hint == "did you mean 'chatml'?"
