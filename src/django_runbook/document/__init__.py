"""Reads a YAML file into a Runbook and reports all its errors, without importing Django."""
