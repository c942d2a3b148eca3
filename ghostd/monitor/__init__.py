"""Looks at everything from outside, and says what a person should know: services, queues, disk, folders.

This room measures and judges. It never repairs, never starts or stops anything, and remembers nothing of its own:
how long something has been wrong is handed in.
"""
