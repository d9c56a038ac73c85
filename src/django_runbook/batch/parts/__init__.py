"""Holds the parts that commands inherit, and what the parts need."""
