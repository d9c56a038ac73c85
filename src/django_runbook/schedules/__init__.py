"""Turns the schedule of a runbook into times, and into the files of schedulers."""
