"""Who may come in: secrets, tokens, signatures of webhooks.

Pure checks on bytes that others received, and the files that secrets live in. This room never decides what a caller may
do after the door, never says which part of a credential was wrong, and never logs or shows a secret.
"""
