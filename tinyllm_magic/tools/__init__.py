"""Python functions that a model may call: describes them, checks arguments, runs them, and writes their results as text."""
