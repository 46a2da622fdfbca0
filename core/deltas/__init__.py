"""What fine-tuning changed: read, measured, sampled, and brought together by layers and kinds of modules."""
