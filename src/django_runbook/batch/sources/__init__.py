"""Splits a queryset or a file into batches."""
