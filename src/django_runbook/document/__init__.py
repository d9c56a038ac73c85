"""Text to Runbook: reads, checks and explains a YAML file. Knows no Django."""
