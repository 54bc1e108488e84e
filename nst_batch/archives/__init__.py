"""Tar files are folders: what is in them, and where outputs in them lie."""
