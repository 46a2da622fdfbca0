"""The pictures: what is known of the task vectors, and what a merge makes of them."""
