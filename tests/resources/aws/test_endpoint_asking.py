"""InvokeEndpoint asked once: an answer's length, or the kind of the error, and never another try."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from churn_model.models.bundle import write_bundle
from resources.aws.endpoint_asking import open_endpoint_asking
from resources.aws.lake import S3Lake
from resources.settings import AwsSettings
from tests.aws.sagemaker.hosts import Answer, Answering, Fields, Host
from tests.aws.sagemaker.running import ROLE, endpoint_on, running_endpoints
from tests.aws.sagemaker.service import SageMaker
from tests.churn_model.serving.shop import made_bundle
from tests.resources.aws.test_endpoint import MACHINES, MODEL, deployment


class Scripted(Host, Answering):
    """Answers by turns, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Mapping[str, str]]] = []
        self.status = 200

    def start(self, endpoint: str, model: Fields) -> Answering:
        return self

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if method == "POST":
            self.asked.append((body, headers))
        return self.status, {"Content-Type": "application/json"}, b'{"churn_probability": 0.5}'


@pytest.fixture
def service(aws_lake: S3Lake, tmp_path: Path) -> Iterator[SageMaker]:
    write_bundle(made_bundle("boosted_trees"), tmp_path / "bundle")
    aws_lake.put(MODEL, tmp_path / "bundle")
    with running_endpoints(aws_lake, tmp_path) as service:
        service.hosting.looks = 0
        yield service


def test_an_answer_has_a_length_and_an_error_a_kind(aws_lake: S3Lake, service: SageMaker) -> None:
    service.hosting.host = host = Scripted()
    endpoint = endpoint_on(aws_lake)
    endpoint.deploy(deployment(MACHINES))
    found = endpoint.find("shop")
    assert found is not None
    assert found.instances == 2
    settings = AwsSettings(
        bucket="b",
        prefix="",
        region="",
        stack=endpoint.stack,
        role=ROLE,
        model_role=ROLE,
        kms_key="",
        image="",
        job_options={},
    )
    ask = open_endpoint_asking(settings, "shop", connections=4, seconds=5.0)
    assert ask(b'{"calls": 1}') == (None, 26)
    assert host.asked == [(b'{"calls": 1}', {"Content-Type": "application/json", "Accept": "application/json"})]
    host.status = 503
    assert ask(b"{}") == ("ModelError 503", 0)
    assert len(host.asked) == 2  # once, where a client of ours tries eight times
    absent = open_endpoint_asking(settings, "telco", connections=4, seconds=5.0)
    assert absent(b"{}") == ("ValidationError", 0)
