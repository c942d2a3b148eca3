"""Git and nothing but Git: repositories, trees, commits, work trees, history.

The only room that knows the Git binary, libgit2 or GitPython. It never runs what a repository's configuration names
(hooks, filters, drivers, pagers), never rewrites history, and knows nothing of jobs, lanes or the ledger.
"""
