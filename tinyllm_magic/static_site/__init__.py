"""Publishes notebooks as a static site in which a reader re-runs them in the browser, from their stores."""
