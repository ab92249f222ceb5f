"""Bulk scoring: every row of files exactly once, in order, whatever happens on the way."""
