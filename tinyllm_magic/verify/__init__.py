"""Re-runs notebooks offline and compares outputs with the saved ones."""
