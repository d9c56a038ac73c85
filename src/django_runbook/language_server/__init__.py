"""Answers an editor about the text of a runbook, while it is written: errors, completions, help, places and names."""
