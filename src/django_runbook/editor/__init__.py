"""Describes runbooks to editors: a JSON Schema of the file, with the commands of the project."""
