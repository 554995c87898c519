"""Training: the one loop, checkpoints, seeding, and the execution of a job."""
