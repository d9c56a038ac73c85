"""Translates statements of a shell into steps, and keeps what has no counterpart as comments."""
