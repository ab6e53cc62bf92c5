"""Code that runs as a job: `python -m churn_model.steps <name>`. A step reads its inputs' folders, calls one function, writes files and a report."""
