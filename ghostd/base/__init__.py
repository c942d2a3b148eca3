"""Things that could be anyone's: errors, clocks, files, processes, sockets, log lines.

This room performs and decides nothing. It never knows of patches, lanes or services, and imports no other room.
"""
