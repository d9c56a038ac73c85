"""Checked, ordered, honest runs of Django management commands from YAML files."""

__version__ = "0.1.0.dev0"
