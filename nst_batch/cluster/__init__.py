"""Many machines: what is asked of Slurm, and what becomes of it.

A submission is a frozen plan and an array of a few long-lived elements. Each element is a run like any other, in the
same folder; they share the work through claims (``claims.py``), so nothing here is needed for a picture to be right.
"""
