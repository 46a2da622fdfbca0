"""Widgets and their texts and colours that several panels use."""
