"""Whether this machine can render, and how well: each module looks at one side of it, ``examination`` at all.

Everything is told as ``findings.Finding``. Nothing here imports torch: ``probe`` does, in a process of its own.
"""
