"""What a start has to wait for: only what the window shows at first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SHOW = """
import sys
from gui.app import make_application, make_window
application = make_application()
window = make_window()
window.show()
print(*(name for name in ("pyqtgraph", "torch", "gui.training.dialog") if name in sys.modules))
window.close_at_once()
"""


def test_the_window_is_shown_before_the_plots_and_dialogs_are_imported(tmp_path: Path) -> None:
    own = os.environ | {"PARAMOSAIC_DATA_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _SHOW], check=True, stdout=subprocess.PIPE, text=True, env=own
    )
    assert done.stdout.split() == []
