"""Runs work in batches: the loop, its checkpoints and its errors."""
