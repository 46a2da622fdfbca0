"""What is known of models, kept from one evaluation to the next."""
