"""Patch algebra: bytes become a Patch, a Patch and a tree become changes, or a refusal that tells how to mend it.

This room is pure: it opens no file, runs no process, asks no clock. It never applies a part of a patch, never guesses
between two places, and never changes a byte that the patch did not name.
"""
