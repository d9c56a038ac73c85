"""Holds the stages of a run that `api.py` calls one after another, from the request to the result."""
