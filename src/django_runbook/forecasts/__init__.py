"""Predicts what a run takes by its history, and notices what is unlike earlier runs."""
