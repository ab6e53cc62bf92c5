"""One client for SageMaker's four kinds of job: name, check, create, watch, stop and explain them.

Jobs have no idempotency token. Their name is computed from the work, so that whoever asks for the same work finds the same job: a run that
was restarted, two runs at once, or a create whose response was lost. Tags hold the whole version and output, which are compared before a job
is taken for ours. Jobs are looked up by name and never listed.
"""
