"""One invocation to its result, in this process."""
