"""Data files: what their rows are, and what is said of files that have none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from core.data import files
from core.data.passages import MOST_CHARACTERS, passages
from core.data.rows import DataSet, Row, read_data
from core.errors import DataError

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_json_lines_of_every_kind(write: Write) -> None:
    turns = [{"role": "user", "content": "Hi", "name": "x"}, {"role": "assistant", "content": "Ho"}]
    kinds = {
        "text": ({"text": "a b", "extra": 1}, Row(2, text="a b")),
        "prompt": ({"prompt": "", "response": "r", "text": "not this"}, Row(2, response="r")),
        "chat": (
            {"messages": turns, "group": 7},
            Row(2, messages=({"role": "user", "content": "Hi"}, turns[1]), group="7"),
        ),
        "label": ({"text": "t", "label": 1}, Row(2, text="t", label="1")),
    }
    for kind, (record, row) in kinds.items():
        path = write(f"{kind}.jsonl", f"\n{json.dumps(record)}\r\n \r\n")
        data = read_data(path)
        assert (data.kind, data.rows, data.notes) == (kind, (row,), ())
        assert data.digest == blake2b(path.read_bytes(), digest_size=16).hexdigest()


def test_a_mark_at_the_beginning_and_a_line_separator_in_a_text_are_no_ends(write: Write) -> None:
    text = "one\u2028two"
    data = read_data(write("a.jsonl", "\ufeff" + json.dumps({"text": text}, ensure_ascii=False)))
    assert [row.text for row in data.rows] == [text]


def test_tables_name_the_line_that_a_record_begins_in(write: Write) -> None:
    content = '\ufefftext, label\r\none,0\r\n"two\r\nlines, ""quoted""",1\r\n\r\nlast,0'
    data = read_data(write("a.csv", content))
    assert data.rows == (
        Row(2, text="one", label="0"),
        Row(3, text='two\nlines, "quoted"', label="1"),
        Row(6, text="last", label="0"),
    )


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_tables_of_every_separator_and_of_long_cells(write: Write, ending: str, separator: str) -> None:
    long = "x" * 200_000  # the csv module's own limit is 131,072
    data = read_data(
        write(
            f"a.{ending}",
            f"prompt{separator}response\np, q; r{separator}{long}\n".replace("p, q; r", '"p, q; r"'),
        )
    )
    assert (data.kind, data.rows[0].prompt, len(data.rows[0].response)) == ("prompt", "p, q; r", 200_000)


def test_groups_are_there_only_if_every_row_has_one(write: Write) -> None:
    some = read_data(write("a.jsonl", '{"text":"a","group":"x"}\n{"text":"b"}'))
    every = read_data(write("b.jsonl", '{"text":"a","group":"x"}\n{"text":"b","group":2}'))
    assert (some.groups, every.groups) == (None, ("x", "2"))


def test_rows_are_shown_whole() -> None:
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"})
    assert Row(1, messages=turns).shown == "user: Hi\nassistant: Ho"
    assert Row(1, prompt="2+2=", response="4").shown == "2+2=\n4"
    assert Row(1, text="t", label="x").shown == "t"


BAD_LINES = {
    "{": "line 2 is not JSON",
    "[" * 100_000: "line 2 is not JSON",
    "[1]": "line 2 is no JSON object",
    '{"other": 1}': "line 2 has none of the fields that are needed, but other",
    '{"label": "x"}': "line 2 has a label and no text",
    '{"text": 5}': "line 2 has 5 as text",
    '{"text": ["a"]}': "line 2 has a list as text",
    '{"text": ""}': "line 2 has an empty text",
    r'{"text": "a\ud800"}': "line 2 has half of a surrogate pair in text",
    r'{"text": "a\u0000"}': "line 2 has a null character in text",
    '{"prompt": "p"}': "line 2 has no response",
    '{"prompt": "p", "response": ""}': "line 2 has an empty response",
    '{"text": "a", "label": true}': "line 2 has true as label",
    '{"text": "a", "label": 0.5}': "line 2 has 0.5 as label",
    '{"text": "a", "group": {}}': "line 2 has an object as group",
    '{"messages": "Hi"}': "line 2 has a text as messages",
    '{"messages": ["Hi"]}': "line 2 has a text as message 1",
    '{"messages": []}': "line 2 has no turn of the assistant",
    '{"messages": [{"role": "user", "content": "Hi"}]}': "line 2 has no turn of the assistant",
    '{"messages": [{"role": "assistant", "content": ["x"]}]}': "line 2 has a list as content, not a text",
    '{"messages": [{"content": "x"}]}': "line 2 has no role in message 1",
    '{"messages": [{"role": "assistant", "content": "x", "tool_calls": [1]}]}': "line 2 has tool calls",
    '{"prompt": "p", "response": "r"}': "line 2 has a prompt and a response, and line 1 a text without",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:40])
def test_a_bad_line_is_named_or_left_out(write: Write, line: str) -> None:
    path = write("a.jsonl", f'{{"text": "good"}}\n{line}\n{{"text": "good too"}}')
    with pytest.raises(DataError, match="1 of 3 rows is bad") as caught:
        read_data(path)
    assert BAD_LINES[line] in caught.value.message
    assert (caught.value.path, caught.value.field) == (path, "data")
    assert "--skip-bad-rows" in (caught.value.hint or "")
    data = read_data(path, skip_bad_rows=True)
    assert [row.line for row in data.rows] == [1, 3]
    assert len(data.notes) == 1
    assert BAD_LINES[line] in data.notes[0]


def test_bad_lines_of_a_table(write: Write) -> None:
    path = write("a.csv", 'text,label\na,1\nb\nc,2,3\n"d,1\n')
    with pytest.raises(
        DataError, match=r"3 of 4 rows are bad: line 3 has 1 cell,.*line 4 has 3 cells.*line 5 is"
    ):
        read_data(path)


def test_all_bad_lines_are_counted_and_five_named(write: Write) -> None:
    path = write("a.jsonl", '{"text": "good"}\n' + "7\n" * 9)
    with pytest.raises(
        DataError, match=r"9 of 10 rows are bad: line 2 .*line 6 [^0-9]*and 4 more$"
    ) as caught:
        read_data(path)
    assert len(caught.value.reasons) == 5


def test_leaving_out_every_row_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="1 of 1 row is bad"):
        read_data(write("a.jsonl", "7"), skip_bad_rows=True)


def test_only_the_rows_that_are_looked_at_can_be_bad(write: Write) -> None:
    path = write("a.jsonl", '{"text": "good"}\n{"text": "good"}\n7')
    assert len(read_data(path, limit=2).rows) == 2
    assert read_data(path, limit=2).digest == read_data(path, limit=1).digest


@pytest.mark.parametrize(
    ("name", "content", "said", "hint"),
    [
        ("a.jsonl", "", "is empty", "one sample a line"),
        ("a.csv", "\ufeff \r\n", "is empty", "one sample a line"),
        ("a.csv", "text\n", "has a header and no rows", "one sample a line"),
        ("a.csv", "text,text\na,b\n", "has 'text' twice", "first line"),
        (
            "a.jsonl",
            '{"Question":"q","answer":"a"}',
            "has the fields 'Question', 'answer'",
            "'Question' to 'prompt'",
        ),
        ("a.csv", "sentence,x\na,b\n", "has the fields 'sentence', 'x'", "rename 'sentence' to 'text'"),
        ("a.json", '[{"text": "a"}]', "is a JSON list", "jq"),
        ("a.jsonl", '{"text":"a"}'.encode("utf-16"), "UTF-16", "UTF-8"),
        ("a.csv", "text\na".encode("utf-16-be"), "null byte in line 1", "UTF-8"),
        ("a.txt", b"a\nb\xe9", "line 2 has the byte 0xe9", "UTF-8"),
        ("a.parquet", b"PAR1", "data files end in", "convert"),
    ],
)
def test_a_file_that_holds_no_data(
    write: Write, name: str, content: str | bytes, said: str, hint: str
) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        read_data(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for place, said in (
        ("pipe.jsonl", "pipe"),
        (".", "folder"),
        ("none.csv", "No such file"),
        ("a\0", "null"),
    ):
        with pytest.raises(DataError, match=said):
            read_data(tmp_path / place)


def test_a_file_that_is_too_large_is_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.jsonl", '{"text": "a"}')
    monkeypatch.setattr(files, "MOST_BYTES", 12)
    with pytest.raises(DataError, match=r"has 13 bytes.*at most 12 bytes"):
        read_data(path)


def test_plain_text_is_cut_into_passages_at_paragraphs(write: Write) -> None:
    paragraphs = [f"Paragraph {number} " + "word " * 100 + "end." for number in range(9)]
    text = "\r\n \r\n" + "\r\n\r\n".join(paragraphs) + "\r\n"
    data = read_data(write("a.md", text))
    assert data.kind == "plain"
    assert "\n\n".join(row.text for row in data.rows) == "\n\n".join(paragraphs)
    assert [row.line for row in data.rows] == [3, 9, 15]  # three paragraphs of 515 characters in each
    assert read_data(write("a.md", text), limit=2).rows == data.rows[:2]


def test_passages_of_a_text_without_paragraphs() -> None:
    lines = "\n".join("x" * 99 for _ in range(50))
    assert [(line, len(text)) for line, text in passages(lines)] == [(1, 1999), (21, 1999), (41, 999)]
    words = "word " * 1000
    assert [len(text) for _, text in passages(words)] == [1999, 1999, 999]
    assert "".join(text for _, text in passages("y" * 4500)) == "y" * 4500
    assert max(len(text) for _, text in passages("z \n" * 9000)) <= MOST_CHARACTERS
    assert list(passages(" \n\t")) == []


def test_a_data_set_does_not_depend_on_its_place(write: Write) -> None:
    one, other = read_data(write("a.jsonl", '{"text":"a"}')), read_data(write("b.jsonl", '{"text":"a"}'))
    assert isinstance(one, DataSet)
    assert one.digest == other.digest


def test_other_names_of_fields_are_answered_by_what_to_rename(write: Write) -> None:
    cases = {
        ("instruction", "input", "output"): "put 'instruction' and 'input' together as 'prompt' and rename "
        "'output' to 'response'",
        ("prompt", "completion"): "rename 'completion' to 'response'",
        ("query", "response"): "rename 'query' to 'prompt'",
        ("sentence", "label"): "rename 'sentence' to 'text'",
        ("prompt", "chosen", "rejected"): "rename 'chosen' to 'response'",
        (
            "conversations",
        ): "rename 'conversations' to 'messages', a list of objects with 'role' and 'content'",
    }
    for fields, hint in cases.items():
        path = write("a.jsonl", (json.dumps(dict.fromkeys(fields, "a")) + "\n") * 2)
        with pytest.raises(DataError) as caught:
            read_data(path)
        assert caught.value.hint == hint
    # One row that is incomplete among others is a fault of that row.
    path = write("a.jsonl", '{"prompt": "a", "response": "b"}\n{"prompt": "a", "completion": "b"}')
    with pytest.raises(DataError) as caught:
        read_data(path)
    assert "--skip-bad-rows" in (caught.value.hint or "")
