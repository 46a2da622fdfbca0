"""The main window: menus, docks, the log, and what connects the panels."""
