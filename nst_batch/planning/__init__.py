"""What is to be rendered: digests, pairs, names and ids, and what it will take."""
