"""What `plan` prints of vocabularies that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from token_merges import recipe
from token_models import EMBEDDING, Model

from core import plan_merge
from core.cli.output import plan_document, plan_summary
from core.plan.choice import choose
from core.recipe.parsing import parse_recipe

WORDS = [f"w{number}" for number in range(10)]


def lines(tmp_path: Path, models: list[Model], base: Model, **more: Any) -> tuple[list[str], Any]:
    data = recipe(models, base, "parameter_selection", parameters={"resamples": 1}, **more)
    plan = plan_merge(parse_recipe(data, tmp_path))
    choice = choose(plan)
    text = plan_summary(plan, choice, 0).splitlines()
    return [line for line in text if line.startswith(("rows", "token "))], plan_document(plan, choice, 0)[
        "vocabulary"
    ]


@pytest.fixture
def base(tmp_path: Path) -> Model:
    return Model.make(tmp_path / "base", WORDS, seed=0, names=(EMBEDDING,))


def test_added_and_moved_tokens_and_whose_rows_they_are(tmp_path: Path, base: Model) -> None:
    one = Model.make(tmp_path / "one", [*WORDS, "<a>"], 16, seed=1, names=(EMBEDDING,))
    two = Model.make(tmp_path / "two", ["w1", "w0", *WORDS[2:], "<b>", "<a>"], seed=2, names=(EMBEDDING,))
    text, document = lines(tmp_path, [one, two], base, vocab="union")
    assert text == [
        "rows     16 in the result; 2 tokens added, 2 moved; the models have: one 16, two 12, base 10",
        'token    "<a>"  10  added  from one 10 and two 11',
        'token    "<b>"  11  added  from two 10',
        'token    "w0"    0  moved  from one 0 and two 1',
        'token    "w1"    1  moved  from one 1 and two 0',
    ]
    assert (document["rows"], document["matched_by"]) == (16, "token")
    assert document["rows_of"] == {"one": 16, "two": 12, "base": 10}
    assert document["tokens"][0] == {
        **{"token": "<a>", "row": 10, "what": "added"},
        "from": [{"model": "one", "row": 10}, {"model": "two", "row": 11}],
    }


def test_many_are_listed_in_the_document_alone(tmp_path: Path, base: Model) -> None:
    added = [f"<{number}>" for number in range(40)]
    one = Model.make(tmp_path / "one", [*WORDS, *added], seed=1, names=(EMBEDDING,))
    text, document = lines(tmp_path, [one], base)
    assert len(text) == 14
    assert text[-1] == "token    … and 28 more; --json shows them all"
    assert [token["token"] for token in document["tokens"]] == added


def test_nothing_is_said_where_all_have_the_same_rows(tmp_path: Path, base: Model) -> None:
    one = Model.make(tmp_path / "one", WORDS, seed=1, names=(EMBEDDING,))
    assert lines(tmp_path, [one], base) == ([], None)
