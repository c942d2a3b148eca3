"""What a command may do: its limits, its time, and that nothing of it stays behind.

A stranger's command runs only through here. This version limits and kills; it does not isolate, so a patch's own
shell is refused further up. This room knows commands, never patches.
"""
