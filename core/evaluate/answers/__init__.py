"""Models that answer: greedy decoding, streams of text, exact match."""
