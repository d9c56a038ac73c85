"""Decides what remains of an unfinished run, and resumes it."""
