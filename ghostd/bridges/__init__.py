"""Outside text becomes submissions: chat transcripts that are followed, and folders into which patches are dropped.

This room finds text and keeps count of what it has read. It never decides what a patch is, never touches the ledger,
and never changes a transcript; whoever wires it brings the callables that do.
"""
