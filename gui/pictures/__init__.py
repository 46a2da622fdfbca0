"""The pictures: what a merge found out about the task vectors."""
