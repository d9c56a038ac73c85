"""Compares the schedules of runbooks with the run history, to report what did not run."""
