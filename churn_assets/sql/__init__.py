"""SQL functions that ask a model: the rows stay where they are, the plan is the one of single rows."""
