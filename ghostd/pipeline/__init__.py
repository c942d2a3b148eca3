"""The one path of a change: intake, claim, apply, gates, commit point, files, record, summary.

`rules.py` decides, `worker.py` walks the path, `recover.py` mends what a crash left on it. Nothing here knows a wire
format, a terminal or a process to supervise; no other room moves a working branch.
"""
