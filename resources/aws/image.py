"""The managed image in which every job runs: SageMaker's own XGBoost container."""

import functools

from churn_model.errors import problem
from resources.errors import SettingsError

IMAGE = "xgboost"
IMAGE_VERSION = "3.2-0"


@functools.cache
def find_managed_image(region: str) -> str:
    """Return the image's address in a region, as AWS's own SDK lists it. Raise SettingsError if the SDK is not installed or knows no such region."""
    try:
        from sagemaker.core import image_uris
    except ImportError as error:
        raise SettingsError(
            problem(
                expected=f"CHURN_IMAGE, or the extra `aws`, which looks up the address of {IMAGE}:{IMAGE_VERSION}",
                found="neither",
                todo="set CHURN_IMAGE, or install it: `pip install 'sagemaker-core>=2.27'`",
            )
        ) from error
    try:
        return str(image_uris.retrieve(IMAGE, region, version=IMAGE_VERSION))
    except (ValueError, KeyError) as error:
        raise SettingsError(
            problem(
                expected=f"a region that has {IMAGE}:{IMAGE_VERSION}",
                found=f"{region or 'none'}",
                todo="set AWS_REGION to another, or CHURN_IMAGE to a copy of the image",
            )
        ) from error
