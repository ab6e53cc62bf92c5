"""What runs inside a job's container before the step: the standard library alone, since nothing is installed there."""
