"""Template text and variables become messages."""
