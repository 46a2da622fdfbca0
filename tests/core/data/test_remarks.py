"""What is said of rows that count for less than their number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.remarks import long_rows_of, overlap_of, with_remarks
from core.data.rows import DataSet, read_data


def data_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> DataSet:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_data(path)


def test_nothing_is_said_of_rows_that_differ(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "response": str(number), "group": "g"} for number in range(3)]
    data = data_of(tmp_path / "a.jsonl", rows)
    assert with_remarks(data) == data
    assert overlap_of(data, data_of(tmp_path / "b.jsonl", [{"text": "a0"}])) == ""


def test_repeated_rows_are_named_unless_their_group_says_so(tmp_path: Path) -> None:
    texts = ["a", "b", "a", "a"]
    (note,) = with_remarks(data_of(tmp_path / "a.jsonl", [{"text": text} for text in texts])).notes
    assert note.startswith("a.jsonl: 2 of 4 rows are the same as an earlier one (lines 3, 4), and counted as")
    grouped = [{"text": text, "group": text} for text in texts]
    assert with_remarks(data_of(tmp_path / "a.jsonl", grouped)).notes == ()
    apart = [{"text": text, "group": number} for number, text in enumerate(texts)]
    assert len(with_remarks(data_of(tmp_path / "a.jsonl", apart)).notes) == 1


def test_groups_that_some_rows_lack_are_said_to_count_for_nothing(tmp_path: Path) -> None:
    data = with_remarks(data_of(tmp_path / "a.jsonl", [{"text": "a", "group": 1}, {"text": "b"}]))
    assert data.groups is None
    (note,) = data.notes
    assert note.startswith("a.jsonl: 1 of 2 rows is without a group (line 2), so that no group counts")


def test_passages_of_one_text_are_said_to_be_alike(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(f"Paragraph {number}. " + "word " * 300 for number in range(6)))
    data = read_data(path)
    assert len(data.rows) > 1
    (note,) = with_remarks(data).notes
    assert note.startswith(f"book.txt: {len(data.rows)} passages of one text are taken as independent of one")
    assert "intervals are narrower than they should be" in note
    path.write_text("One passage.")
    assert with_remarks(read_data(path)).notes == ()
    rows = [{"text": row.text} for row in data.rows]
    assert with_remarks(data_of(tmp_path / "rows.jsonl", rows)).notes == ()


def test_rows_that_were_trained_on_are_named(tmp_path: Path) -> None:
    chats = [
        {"messages": [{"role": "user", "content": str(number)}, {"role": "assistant", "content": "yes"}]}
        for number in range(8)
    ]
    held_out, trained_on = data_of(tmp_path / "v.jsonl", chats), data_of(tmp_path / "t.jsonl", chats[1:])
    (note,) = with_remarks(held_out, trained_on).notes
    assert note == overlap_of(held_out, trained_on)
    assert note.startswith("v.jsonl: 7 of 8 rows are in t.jsonl too (lines 2, 3, 4, 5, 6, …): ")


def test_rows_that_take_long_are_named(tmp_path: Path) -> None:
    long = "word " * 200_001
    rows = [{"text": "short"}, {"text": long}, {"text": "a" * 1_000_000}]
    data = data_of(tmp_path / "a.jsonl", rows)
    assert with_remarks(data).notes == (long_rows_of(data),)
    assert long_rows_of(data).startswith(
        "a.jsonl: 1 of 3 rows is longer than 1,000,000 characters (line 2): "
    )
    turns = [{"role": "user", "content": long[:600_000]}, {"role": "assistant", "content": long[:600_000]}]
    parts = [{"prompt": long[:600_000], "response": long[:600_000]}]
    for one in ([{"messages": turns}], parts):
        assert "1 of 1 row is longer" in long_rows_of(data_of(tmp_path / "b.jsonl", one))
    assert long_rows_of(data_of(tmp_path / "c.jsonl", rows[:1])) == ""
