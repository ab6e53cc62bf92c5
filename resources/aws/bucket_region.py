"""The region of the lake's bucket: SageMaker's jobs and endpoints read and write buckets of their own region alone."""

from functools import cache
from typing import Any

from churn_model.errors import problem
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.errors import LakeError

_OLD_NAMES = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}  # as S3 answers for these


@cache  # a bucket stays where it is
def find_region(s3: Any, bucket: str) -> str:
    """Return the region of a bucket, which a client is asked for once. Raise what the client raises."""
    place = s3.get_bucket_location(Bucket=bucket).get("LocationConstraint")
    return _OLD_NAMES.get(place, str(place))


def require_bucket_here(session: AwsSession, bucket: str) -> str:
    """Return the region of a bucket, which is that of the jobs. Raise LakeError if it is another, or cannot be asked for."""
    with aws_errors(LakeError, f"the bucket {bucket}"):
        ours = str(session.client("sagemaker").meta.region_name)
        found = find_region(session.client("s3"), bucket)
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

    try:
        require_bucket_here(session, bucket)
    except LakeError as error:
        cause = error.__cause__
        if not (isinstance(cause, ClientError) and code_of(cause) in ("AccessDenied", "403")):
            raise
