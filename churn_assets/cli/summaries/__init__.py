"""What `churn` prints at the end of a command: a few lines that a manager reads, each figure with the assumption it rests on."""
