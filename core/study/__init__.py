"""What merging does for one family of models: the table, the curves and the controls."""
