"""Making the sub-models: what is asked for, and how it goes in a process of its own."""
