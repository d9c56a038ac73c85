"""Reads and evaluates expressions: a tree from Jinja2's parser, and operations of our own that are all bounded."""
