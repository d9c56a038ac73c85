"""Runbook to Plan: what each step will hand to its command, checked by the command's own parser."""
