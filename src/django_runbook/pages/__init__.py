"""Rows of runs to what a page shows of them; it knows neither requests nor permissions."""
