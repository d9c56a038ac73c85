"""Sends notices of runs to services that watch or alert."""
