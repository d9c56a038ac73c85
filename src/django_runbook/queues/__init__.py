"""Runs steps on the workers of the project's task engine."""
