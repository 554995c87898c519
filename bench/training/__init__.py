"""Training: the one loop, checkpoints and seeding."""
