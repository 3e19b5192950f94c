"""Reads and layers configuration, and remembers where each value came from."""
