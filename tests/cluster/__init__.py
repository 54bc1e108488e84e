"""Jobs of a cluster, without one; ``tests/slurm`` has them on a real one."""
