"""Vocabularies: which token each id is, read from the files of a tokenizer without loading it."""
