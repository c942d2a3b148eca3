"""One module for each way to write a patch: webhook, executor, g2o become a unified mapping, unified becomes a Patch.

A format is told by its structure alone. It never drops what it does not understand: it says so, or keeps it.
"""
