"""Answers many rows or combinations with one call."""
