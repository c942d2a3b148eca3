"""From `conf/ghost.toml` to frozen settings, and the making of a workspace.

This room turns text into `model.settings` and says what is wrong with it, all at once and with its place. It never
starts, opens or talks to anything that the settings name, and only the two top floors may import it: every other room
is handed the settings that it needs.
"""
