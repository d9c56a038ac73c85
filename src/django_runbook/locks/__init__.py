"""Exclude other processes by a name."""
