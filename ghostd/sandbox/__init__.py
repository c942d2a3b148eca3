"""What a command may do: what it sees and reaches, its limits, its time, and that nothing of it stays behind.

A stranger's command runs only through here. `rules.py` decides from what the machine has (`probe.py`, by trying) which
layers shut a command in; `inside/` is the small process that makes the cell and waits in it. This room knows commands,
never patches.
"""
