"""What changes: whether models still answer as recorded (drift), and what differs between two versions of a notebook (diff)."""
