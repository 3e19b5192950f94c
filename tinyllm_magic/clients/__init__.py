"""Prepares one call and sends it through recording, retries and limits, on behalf of the session."""
