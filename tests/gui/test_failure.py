"""What the engine advises is said so that it can be done in the window."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import core
from core.checkpoint.output import discard_command
from core.errors import MergeError, RecipeError
from gui.failure import Failure, sentence


def words_of(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be, with X for what is put into them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value)
            if isinstance(part, ast.Constant)
            else discard_command(Path("/x"))
            if "discard_command" in ast.dump(part)
            else "X"
            for part in node.values
        )
    elif isinstance(node, ast.IfExp):
        yield from words_of(node.body)
        yield from words_of(node.orelse)
    elif isinstance(node, ast.BinOp):
        yield from (one + other for one in words_of(node.left) for other in words_of(node.right))


def hints() -> list[str]:
    """What core advises, as far as it is written out; the commands in cli speak for themselves."""
    found: list[str] = []
    for path in sorted(Path(core.__path__[0]).rglob("*.py")):
        text = path.read_text()
        if "cli" not in path.parts and "hint=" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.keyword) and node.arg == "hint":
                    found += words_of(node.value)
    return found


def test_no_advice_names_what_only_the_command_line_has() -> None:
    found = hints()
    assert len(found) > 80
    options = [
        hint for hint in found if " (--" in hint or "`paramosaic" in hint or "paramosaic discard" in hint
    ]
    assert len(options) >= 5
    for hint in found:
        said = sentence(hint)
        assert "(--" not in said
        assert "paramosaic discard" not in said
        assert "`paramosaic" not in said
        assert "overwritten" not in said
        in_fields = Failure.of_setup(RecipeError("there is something", hint=hint)).hint
        assert in_fields is not None
        assert "write `vocab" not in in_fields


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (
            "say in the recipe in which type to merge, with dtype: bfloat16",
            "Choose a merge type under Precision and device, such as bfloat16.",
        ),
        (
            "write into the recipe `missing: omit` to leave such tensors out of the result",
            "Save the recipe, and open it again with this in its file: `missing: omit` to leave such tensors "
            "out of the result.",
        ),
        ("list 2 more under models", "Add or tick 2 more."),
        (
            "write `vocab: union` into the recipe to merge the rows of the same tokens and keep those of all "
            "models, or `vocab: base` to keep the base's alone (`tokenizer: {source: …}` says more)",
            "Choose Of all models for Tokens under Precision and device to merge the rows of the same tokens "
            "and keep those of all models, or Of the base to keep the base's alone.",
        ),
        (
            "name the folder of that model as base_model; `hf download a/b --local-dir FOLDER` gets it",
            "Choose that model as the base; `hf download a/b --local-dir FOLDER` gets it.",
        ),
    ],
)
def test_advice_about_a_recipe_is_about_fields_where_there_is_no_file(hint: str, said: str) -> None:
    error = RecipeError("there is something", hint=hint)
    assert Failure.of_setup(error).hint == said
    assert Failure.of(error).hint == sentence(hint)


def test_a_command_that_is_told_is_copied_without_a_full_stop() -> None:
    failure = Failure.of(MergeError("the package x is missing", hint="install it: pip install 'x>=1.1'"))
    assert failure.message == "The package x is missing."
    assert failure.hint == "Install it: pip install 'x>=1.1'"
