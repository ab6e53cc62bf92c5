"""`churn new`: profile a file, guess what its columns are, write a first spec."""
