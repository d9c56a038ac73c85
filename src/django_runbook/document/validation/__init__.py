"""Validates the nodes of a file as a Runbook, and collects all errors."""
