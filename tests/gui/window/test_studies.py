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


def test_a_study_is_opened_from_the_menu_and_another_file_says_what_it_is(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-study"
    folder.mkdir()
    path = folder / "study.json"
    monkeypatch.setattr(gui.window.studies, "choose_study", lambda *_: path)
    scores = window.pictures.scores
    damaged = to_document(study())
    damaged["positions"][0]["mean"][0] = "much"
    for content, said in ((None, str(path)), ("{}", "no study"), (json.dumps(damaged), "damaged")):
        if content is not None:
            path.write_text(content)
        with qtbot.waitSignal(window.studies.failed):
            window.actions_.open_study.trigger()
        assert said in window.run.message.text
        assert not scores.in_use
    path.write_text(to_json(study()))
    with qtbot.waitSignal(window.studies.opened):
        window.actions_.open_study.trigger()
    assert window.pictures.current is scores
    assert scores.isVisible()
    assert [row.title for row in scores.plot.rows] == ["base", "single", "average", "selection", "scaled"]
    assert scores.read_out.text() == study().sentence
    window.pictures.tabs.setCurrentWidget(window.pictures.training)
    assert len(window.pictures.training.plot.curves) == 4
