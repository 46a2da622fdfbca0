"""The model card: names are text in it, and cannot end what they are in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from safetensors.numpy import save_file

from core.plan.planning import plan_merge
from core.recipe.parsing import parse_recipe
from core.run.card import model_card
from core.text import one_line

NASTY = [
    "a\n```\n# Heading",
    "```\n<script>alert(1)<",
    "`` ``` ````",
    "<img src=x><b>x</b>&\u202e|x|",
    "a\n---\nlicense: mit",
    "[x](http:) ![y] *z* _w_",
    "größer 模型 my_model-7b",
]


def card_of(folder: Path, names: list[str], title: str) -> str:
    for name in names:
        (folder / name).mkdir(parents=True)
        save_file({"w": np.zeros((2, 2), np.float16)}, folder / name / "model.safetensors")
    recipe = {
        "merge_method": "task_arithmetic",
        "base_model": names[0],
        "models": [{"model": name, "parameters": {"weight": 0.5}} for name in names[1:]],
    }
    return model_card(plan_merge(parse_recipe(recipe, folder)), title).decode()


@pytest.mark.parametrize("title", NASTY)
def test_names_are_text(tmp_path: Path, title: str) -> None:
    names = [name.replace("/", "") for name in NASTY]
    card = card_of(tmp_path, names, title)
    assert "\u202e" not in card
    front = re.match(r"(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", card)  # as the Hub reads it
    assert front is not None
    assert set(yaml.safe_load(front[2])) == {"library_name", "tags"}

    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(card[front.end() :])
    inner = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inner]}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "em_open", "table_open"}

    at = next(number for number, token in enumerate(tokens) if token.type == "heading_open")
    assert "".join(child.content for child in tokens[at + 1].children or ()) == one_line(title)
    headings = [token.tag for token in tokens if token.type == "heading_open"]
    assert headings == ["h1", "h2"]

    code = [child.content for child in inner if child.type == "code_inline"]
    assert code[: len(names)] == [one_line(name) for name in (*names[1:], names[0])]

    blocks = [token for token in tokens if token.type == "fence"]
    assert [block.info for block in blocks] == ["yaml"]
    recipe = yaml.safe_load(blocks[0].content)
    assert [entry["model"] for entry in recipe["models"]] == names[1:]
    assert recipe["base_model"] == names[0]


def test_only_what_the_hub_would_take_is_a_base_model(tmp_path: Path) -> None:
    names = [
        "models--org--base/snapshots/1",
        "models--org--one/snapshots/1",
        "models--bad\nlicense: mit--two/snapshots/1",
    ]
    front = yaml.safe_load(card_of(tmp_path, names, "out").split("---\n")[1])
    assert sorted(front["base_model"]) == ["org/base", "org/one"]
