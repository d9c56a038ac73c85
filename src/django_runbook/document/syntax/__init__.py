"""Parses the text of a file into nodes that keep their places."""
