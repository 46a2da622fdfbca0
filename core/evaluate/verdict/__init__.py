"""Whether it helps: models compared on the same samples, and what is said of them."""
