"""Translates crontabs and shell scripts into runbooks; needs the extra ``import``."""
