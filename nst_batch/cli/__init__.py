"""The command line: parse, call, print, exit code. ``app.py`` lists the commands; each of the others holds a few.

Heavy modules are imported by the commands that need them, so that ``nst-batch --help`` starts at once.
"""
