"""Parses expressions with Jinja2, and evaluates them with bounded operations of our own."""
