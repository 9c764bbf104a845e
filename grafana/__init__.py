"""The boards and alert rules, written in Python, committed as JSON and YAML. Not part of the wheel."""
