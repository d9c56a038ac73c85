"""Reads recorded runs: finds them, follows them, and formats them as text."""
