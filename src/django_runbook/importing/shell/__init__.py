"""Reads shell code as small values, which know no parser."""
