import pytest

from resources.aws.image import find_managed_image
from resources.errors import SettingsError

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's sources have some


def test_the_image_is_found_in_each_partition_of_aws() -> None:
    assert find_managed_image("eu-west-1").endswith(".dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0")
    assert ".amazonaws.com.cn/" in find_managed_image("cn-north-1")


def test_a_region_without_the_image_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"found mars-1\. Set AWS_REGION"):
        find_managed_image("mars-1")
