"""Keeps answers in one JSON-lines file and replays them."""
