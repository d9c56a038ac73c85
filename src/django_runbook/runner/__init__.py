"""Runs a plan: its steps in order, with an event for everything that happens."""
