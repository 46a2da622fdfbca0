"""What is on the disk: models that are read, and the output that is written."""
