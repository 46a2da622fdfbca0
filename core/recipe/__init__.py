"""What is asked for: recipes as values, and as YAML."""
