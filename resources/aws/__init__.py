"""Adapters for AWS: the ports on S3, Glue, Athena and SageMaker.

Nothing of AWS's libraries is imported before it is used: loading the definitions needs neither credentials nor their import.
"""
