"""Scores, agreement, paired comparison and blind rating of answered rows; computes and draws nothing, and knows no session."""
