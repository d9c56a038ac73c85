"""Events to rows, so that a run can be looked at while it runs, and resumed after any death."""
