"""What is asked of transformers, the same for models that are evaluated and models that are trained."""
