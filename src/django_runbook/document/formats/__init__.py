"""Renders diagnostics for people and for other tools."""
