"""The ledger: which changes wait, who works on which, what happened, and what was told to whom.

A row is durable before anybody hears of it, and an event is written in the transaction of the change that it tells.
This room never decides whether a patch is good and never looks into a repository: Git is the truth, and what is known
of it here can be thrown away. Nobody outside it sees SQL.
"""
