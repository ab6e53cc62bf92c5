"""The region of the lake's bucket: SageMaker's jobs and endpoints read and write buckets of their own region alone."""

from typing import Any
from weakref import WeakKeyDictionary

from churn_model.errors import problem
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import LakeError

_OLD_NAMES = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}  # as S3 answers for these
_asked_about: "WeakKeyDictionary[Any, set[str]]" = WeakKeyDictionary()
"""The buckets that each client of S3 has asked about, and that no job is refused for: a bucket stays where it is."""


def require_bucket_here(session: AwsSession, bucket: str) -> str:
    """Return the region of a bucket, which is that of the jobs. Raise LakeError if it is another, or cannot be asked for."""
    with aws_errors(LakeError, f"the bucket {bucket}"):
        ours = str(session.client("sagemaker").meta.region_name)
        place = session.client("s3").get_bucket_location(Bucket=bucket).get("LocationConstraint")
    found = _OLD_NAMES.get(place, str(place))
    if found != ours:
        raise LakeError(
            problem(
                expected=f"the bucket {bucket} in {ours}, where the jobs run",
                found=f"it in {found}",
                todo="set AWS_REGION to the bucket's region, or take a bucket of this one",
            )
        )
    return ours


def refuse_bucket_elsewhere(session: AwsSession, bucket: str) -> None:
    """Raise LakeError if a bucket is known to be in another region than the jobs. Who may not ask goes on: SageMaker will say so."""
    from botocore.exceptions import ClientError

    with aws_errors(LakeError, f"the bucket {bucket}"):
        asked_about = _asked_about.setdefault(session.client("s3"), set())
    if bucket in asked_about:
        return
    try:
        require_bucket_here(session, bucket)
    except LakeError as error:
        cause = error.__cause__
        if not (isinstance(cause, ClientError) and code_of(cause) in ("AccessDenied", "403")):
            raise
    asked_about.add(bucket)


def forget_buckets() -> None:
    """Ask about each bucket again, as a process that has just begun does."""
    _asked_about.clear()
