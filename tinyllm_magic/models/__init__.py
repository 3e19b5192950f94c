"""Which models exist, where they live, what they take and cost; counts tokens."""
