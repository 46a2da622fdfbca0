"""What a training takes, said before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import TrainingError
from core.train.disk import disk_need, memory_sentence, require_disk
from core.train.settings import TrainSettings

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("keep", "dtype", "too", "models", "models_bytes"),
    [
        ("all", "bfloat16", False, 24, 48 * MILLION),
        ("all", "float32", False, 24, 96 * MILLION),
        ("best", "bfloat16", False, 24, 48 * MILLION),
        ("last", "bfloat16", False, 9, 18 * MILLION),  # one more while the next is written
        ("last", "bfloat16", True, 17, 50 * MILLION),  # and eight in float32
    ],
)
def test_eight_orders_of_three_epochs(
    keep: str, dtype: str, too: bool, models: int, models_bytes: int
) -> None:
    settings = TrainSettings(orders=8, epochs=3, batch=10, keep=keep, save_dtype=dtype, also_float32=too)
    need = disk_need(MILLION, settings, rows=100, new_base_bytes=7)
    assert (need.models, need.models_bytes) == (models, models_bytes)
    assert need.resume_bytes == 2 * 12 * MILLION
    assert need.lists_bytes == 8 * (3 * 100 * len("100\n") + 30 * 200)
    assert need.total_bytes == models_bytes + 24 * MILLION + need.lists_bytes + 7


def test_what_is_there_already_is_not_needed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = disk_need(1000, TrainSettings(orders=2, epochs=1))
    (tmp_path / "order-1").mkdir()
    (tmp_path / "order-1" / "model.safetensors").write_bytes(bytes(2000))
    monkeypatch.setattr("core.train.disk.free_disk_bytes", lambda place: need.total_bytes - 2000)
    assert "of which 2 kB are there" in require_disk(need, tmp_path)
    monkeypatch.setattr("core.train.disk.free_disk_bytes", lambda place: need.total_bytes - 2001)
    with pytest.raises(TrainingError, match="there is not enough room at") as raised:
        require_disk(need, tmp_path)
    assert "--keep last" in (raised.value.hint or "")


def test_memory_is_sixteen_bytes_a_parameter() -> None:
    assert memory_sentence(MILLION).startswith("memory: 16 MB for the weights")
