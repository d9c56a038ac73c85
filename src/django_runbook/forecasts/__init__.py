"""Forecasts the end of a run by its history, and notices what is unlike earlier runs."""
