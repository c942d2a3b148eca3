"""Keep services alive: start them in order, know when they are ready, restart what crashes, stop all without a trace.

Two processes live here. The keeper is the parent of every service and has no policy. The engine decides; it may die and
come back without a service noticing. This room never opens the ledger or a repository, never waits for a process that
it did not start, and lets no disk, pipe or client hold it up for long. `supervisor` is imported nowhere else.
"""
