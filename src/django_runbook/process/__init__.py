"""Isolates what a step does to its process: streams, state, signals, deadlines, masking."""
