"""A study is opened in the window, or it is said why it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_studies import study
from pytestqt.qtbot import QtBot

import gui.window.studies
from core.study.document import to_document, to_json
from gui.window.window import MainWindow


def test_a_study_is_opened_from_the_menu(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-study"
    folder.mkdir()
    (folder / "study.json").write_text(to_json(study()))
    monkeypatch.setattr(gui.window.studies, "choose_study", lambda *_: folder / "study.json")
    with qtbot.waitSignal(window.studies.opened):
        window.actions_.open_study.trigger()
    scores = window.pictures.scores
    assert window.pictures.current is scores
    assert scores.isVisible()
    assert [row.title for row in scores.plot.rows] == ["base", "single", "average", "selection", "scaled"]
    assert scores.read_out.text() == study().sentence
    window.pictures.tabs.setCurrentWidget(window.pictures.training)
    assert len(window.pictures.training.plot.curves) == 3


def test_what_is_no_study_or_a_damaged_one_is_said(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    damaged = to_document(study())
    damaged["positions"][0]["mean"][0] = "much"
    for content, said in (
        ("{}", "this is no study"),
        (json.dumps(damaged), "this study is damaged"),
        (None, str(path)),
    ):
        path.write_text(content) if content is not None else path.unlink()
        with qtbot.waitSignal(window.studies.failed):
            window.studies.open(path)
        assert said in window.run.message.text
        assert not window.pictures.scores.in_use
