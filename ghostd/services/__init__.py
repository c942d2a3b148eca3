"""One file for each child process: builds its rooms, wires them, runs, stops. The only wiring there is.

A service reads the configuration once, hands each room the settings that it needs, says READY=1 when it works, and ends
well on SIGTERM. It decides nothing itself: a decision belongs into the `rules.py` of a room below.
"""
