"""What readers and reviewers get of a notebook: whether its models still answer as recorded, and what changed between two versions."""
