"""A name to a lock that one process at a time holds."""
