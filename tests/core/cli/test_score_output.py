"""What `evaluate` prints of scores: every number where it belongs, and none that is none."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np

from core.cli.score_output import SampleTable, score_document, score_rows, score_summary
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.evaluate.verdict.comparing import compare


def scores_of(name: str, losses: list[float], **changes: object) -> Scores:
    count = len(losses)
    plain = Scores(
        name=name,
        path=f"models/{name}",
        model_digest="0" * 32,
        data_digest="1" * 32,
        settings=Settings().key(),
        task="causal",
        loss=np.array(losses),
        tokens=np.full(count, 8),
        text_bytes=np.full(count, 16),
        correct=None,
        lines=np.arange(1, count + 1),
        tokenizer_digest="2" * 32,
        seconds=1.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_table_has_the_columns_that_there_are_numbers_for() -> None:
    half = math.log(2) / 2  # of 8 tokens on 16 bytes: a quarter bit a byte
    base = scores_of("base", [2 * half] * 25)
    tuned = scores_of("tu\x1b[31mned", [half] * 25)
    lines = score_summary([base, tuned], compare(base, [tuned])).splitlines()
    assert lines[0].split("  ")[0] == "model"
    assert "accuracy" not in lines[0]
    assert lines[1].split() == ["base", "0.6931", "0.5000", "reference"]
    assert lines[2].split()[:4] == [r"tu\x1b[31mned", "0.3466", "0.2500", "−0.35"]
    assert lines[2].endswith("helps")
    assert lines[3] == ""
    assert "\x1b" not in "".join(lines)
    assert score_summary([base], ()).splitlines()[1].split() == ["base", "0.6931", "0.5000"]


def test_a_classifier_has_its_accuracy_and_no_bits() -> None:
    right = np.arange(40) % 4 > 0
    judge = scores_of("judge", [0.5] * 40, task="classifier", correct=right, tokenizer_digest="")
    head, line = score_summary([judge], ()).splitlines()
    assert head.split() == ["model", "loss", "accuracy"]
    assert line.split() == ["judge", "0.5000", "75.0", "%"]
    asked = replace(judge, task="causal", settings=Settings(exact_match=True).key())
    assert "exact match" in score_summary([asked], ())


def test_other_tokenizers_are_compared_by_the_byte_and_the_unit_is_said() -> None:
    found = np.random.default_rng(0).normal(2, 0.1, 60)
    base, same = scores_of("base", list(found)), scores_of("same", list(found - 0.5))
    other = scores_of("other", list(found + 9), tokenizer_digest="3" * 32, tokens=np.full(60, 1))
    comparisons = compare(base, [same, other])
    table = score_summary([base, same, other], comparisons)
    same_line, other_line = table.splitlines()[2:4]
    assert "nats a token" in same_line
    assert "bits a byte" in other_line
    assert other_line.endswith("helps")  # by the byte it costs less, whatever it costs by the token
    assert "The tokenizers differ" in table


def test_documents_hold_no_number_that_is_none() -> None:
    nothing = scores_of("empty", [math.nan] * 3, tokens=np.zeros(3, int))
    base = scores_of("base", [1.0, math.nan, 2.0], tokens=np.array([8, 0, 8]))
    document = score_document(
        {"path": "d"}, [base, nothing], compare(base, [nothing]), reference="base", keys=["k", None]
    )
    text = json.dumps(document, allow_nan=False)
    assert [model["mean_loss"] for model in json.loads(text)["models"]] == [1.5, None]
    assert document["models"][1]["bits_per_byte"] is None
    assert document["comparisons"][0]["difference"] is None


def test_samples_as_csv_come_back_exactly() -> None:
    losses = [0.1 + 0.2, math.nan, 1 / 3]
    base = scores_of("a,b", losses, correct=np.array([1, 0, 1], bool), tokens=np.array([8, 0, 8]))
    content = score_rows(
        [
            SampleTable(base, ("g1", "", 'g"2'), ("yes\nno", "", "\udcff")),
            SampleTable(replace(base, name="c", correct=None), ("", "", ""), None),
        ]
    )
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert [row["loss"] for row in rows[:3]] == [repr(0.1 + 0.2), "", repr(1 / 3)]
    assert [row["model"] for row in rows] == ["a,b"] * 3 + ["c"] * 3
    assert [(row["group"], row["answer"], row["correct"]) for row in rows[:3]] == [
        ("g1", "yes\nno", "1"),
        ("", "", "0"),
        ('g"2', "\\udcff", "1"),
    ]
    assert float(rows[2]["bits_per_byte"]) == base.bits_per_byte[2]
    assert rows[3]["correct"] == rows[3]["answer"] == ""
