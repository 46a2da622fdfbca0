"""What a merge would do, before it is started."""
