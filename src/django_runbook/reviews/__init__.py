"""Shows what a change of a runbook means: two plans, compared step by step."""
