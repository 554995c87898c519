"""From a plan to results: jobs on slots, each in a worker process, every finished cell stored at once."""
