"""Alerts on their way to people: which channel, when again, and the send itself.

An attempt is written down before it is made, and a failure is never written down as sent. This room opens and resolves
no alert, and knows no address but those of the configuration.
"""
