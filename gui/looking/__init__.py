"""Looking at the models before anything is merged."""
