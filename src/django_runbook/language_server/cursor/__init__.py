"""Finds out what is at the cursor of a text that is being written."""
