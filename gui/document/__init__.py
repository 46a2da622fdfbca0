"""What can be set in the window, as one value that is saved, opened and undone."""
