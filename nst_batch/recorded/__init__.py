"""What was done: the manifest, written and read, and what follows from it for each task."""
