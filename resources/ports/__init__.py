"""The ports: what assets, jobs and sensors know of the outside. Each has a contract suite that runs on every adapter.

Shaped for a folder and for a bucket alike: keys are text with `/`, ordered as UTF-8 bytes; there is no rename, no append and no lock.
How S3, Athena and SageMaker keep these promises is in docs/adr/0003-ports.md.
"""
