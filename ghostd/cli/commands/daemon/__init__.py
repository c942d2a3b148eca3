"""The verbs of `ghostd`."""
