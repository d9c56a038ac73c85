"""Stores the events of a run as rows, so that a run can be inspected while it runs, and resumed after a crash."""
