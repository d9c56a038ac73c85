"""Prepares stored runs for display, independently of requests and permissions."""
