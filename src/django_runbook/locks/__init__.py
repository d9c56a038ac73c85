"""Excludes other processes by a name."""
