"""Counts the rows that a command inserts, updates and deletes."""
