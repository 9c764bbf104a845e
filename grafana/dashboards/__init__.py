"""The boards as Grafana's JSON, which the local page draws, too. Written by `python -m grafana`."""
