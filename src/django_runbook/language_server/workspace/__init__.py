"""Holds what an answer needs besides the text: open files, the project and its commands."""
