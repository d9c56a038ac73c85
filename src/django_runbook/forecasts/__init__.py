"""Compares a run with earlier ones: estimates what it takes, and notices what is unusual."""
