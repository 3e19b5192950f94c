"""The magics and the panel: parses lines, asks the session, shows the result."""
