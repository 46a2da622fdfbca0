"""The window: PySide6 and pyqtgraph over the engine in `core`. No arithmetic on weights."""
