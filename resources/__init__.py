"""Files that ship with Paramosaic: the demo models, and what the window shows that is not code."""

from pathlib import Path

DEMO_FOLDER: Path = Path(__file__).resolve().parent / "demo"
ICONS_FOLDER: Path = Path(__file__).resolve().parent / "icons"
