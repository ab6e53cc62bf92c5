"""The managed image in which every job runs: SageMaker's own XGBoost container."""

import functools
import re

from churn_model.errors import problem
from resources.errors import SettingsError
from resources.settings import PROJECT

IMAGE = "xgboost"
IMAGE_VERSION = "3.2-0"
_MANAGED = re.compile(r".*/sagemaker-xgboost:(?P<version>[^@]+)")
_RELEASE = re.compile(r"^xgboost-cpu==(?P<release>[\w.]+)", re.MULTILINE)


def check_image(image: str) -> str:
    """Return an image's address. Raise SettingsError for a managed image with another XGBoost; `start.py` looks into all others."""
    managed = _MANAGED.fullmatch(image)
    if managed and managed["version"] != IMAGE_VERSION:
        raise SettingsError(
            problem(
                expected=f"sagemaker-xgboost:{IMAGE_VERSION}, whose releases are those of requirements-image.lock",
                found=f"sagemaker-xgboost:{managed['version']}",
                todo=f"set CHURN_IMAGE to {IMAGE_VERSION}, or leave it out",
            )
        )
    return image


@functools.cache
def expected_xgboost() -> str:
    """Return the release of XGBoost that every job has to have."""
    found = _RELEASE.search((PROJECT / "requirements-image.lock").read_text("utf-8"))
    return found["release"] if found else ""


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
