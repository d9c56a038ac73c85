"""Executes calls of commands: in this process or in a subprocess."""
