"""Decides what will run: the plan of a runbook, the selected steps, the dry run, and the listings."""
