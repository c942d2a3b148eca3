"""The vocabulary that all rooms share: frozen values, enumerations, Protocols.

Nothing here performs: no file, no clock, no process. A word that only one room needs lives in that room.
"""
