"""The form in which a recipe is filled in."""
