"""What others may see and ask over HTTP: one table of routes, and what answers them.

This room shows what the ledger and the supervisor know and hands patches to intake. It never reads the
configuration file (settings come as arguments), never touches Git, and never changes a job by itself.
"""
