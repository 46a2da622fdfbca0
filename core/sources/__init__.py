"""What can fill a buffer with elements of a tensor."""
