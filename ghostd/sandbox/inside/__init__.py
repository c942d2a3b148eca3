"""What runs between us and a command: the launcher's own small process.

It starts once for each command, so it imports nothing that is slow: no dataclasses, no enum, no json, no typing, and
nothing of the project outside of this folder. It never decides: its orders are a plain mapping, made by `rules.py`.
"""
