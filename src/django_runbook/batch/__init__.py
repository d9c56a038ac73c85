"""The command library: what a project's own commands are made of, with or without a runbook."""
