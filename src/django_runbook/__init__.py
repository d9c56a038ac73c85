"""Runs Django management commands from YAML files: checked first, in order, with every failure reported."""

__version__ = "0.1.0.dev0"
