"""Answers the questions of an editor, one module for each kind."""
