"""Words on a terminal: parse options, call one function of a lower room, print.

stdout is data, stderr is talk. Nothing here decides anything about a patch or a service.
"""
