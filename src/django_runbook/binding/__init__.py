"""Binds the steps of a Runbook to checked argv tokens, without using a database."""
