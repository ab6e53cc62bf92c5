"""What SageMaker is asked for an endpoint, in which order, what is left behind, and what happens when any of it fails."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from churn_assets.model_server.options import Candidate as Share
from churn_assets.model_server.variants import division_of
from churn_model.models.bundle import write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint as Section
from churn_model.spec.sections.endpoint import Scaling
from resources.aws.endpoint import SageMakerEndpoint
from resources.aws.job_requests import JobOptions
from resources.aws.jobs.clock import SystemClock
from resources.aws.lake import S3Lake
from resources.errors import EndpointError
from resources.ports.endpoint import IN_SERVICE, Candidate, Deployment
from tests.aws.faults import KILLED, Death, Faults, Killed, failing
from tests.aws.sagemaker.hosts import Answer, Answering, AwsHost, Fields, Host
from tests.aws.sagemaker.running import ROLE, endpoint_on, host_on, running_endpoints, running_jobs
from tests.aws.sagemaker.service import Refusal, Reset, SageMaker
from tests.churn_model.serving.shop import SHOP, landed, made_bundle, records

MODEL = f"shop/tuned_model/m1/{BUNDLE}"
MACHINES = Section(engine="instance", instance="ml.m5.large", count=2)
CUSTOMER = json.dumps(records(landed(1, seed=3))[0]).encode()


class Quick(Host):
    """Servers that answer everything, at once."""

    def start(self, endpoint: str, model: Fields) -> Answering:
        class Server(Answering):
            def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
                return 200, {"Content-Type": "application/json"}, b"{}"

        return Server()


@pytest.fixture
def service(aws_lake: S3Lake, tmp_path: Path) -> Iterator[SageMaker]:
    write_bundle(made_bundle("boosted_trees"), tmp_path / "bundle")
    aws_lake.put(MODEL, tmp_path / "bundle")
    with running_endpoints(aws_lake, tmp_path) as service:
        service.hosting.host = Quick()
        service.hosting.looks = 0
        yield service


@pytest.fixture
def endpoint(aws_lake: S3Lake, service: SageMaker) -> SageMakerEndpoint:
    return endpoint_on(aws_lake)


def deployment(section: Section | None = None, version: str = "d1") -> Deployment:
    dataset = replace(Dataset.from_json(SHOP.to_json()), endpoint=section or Section())
    return Deployment(dataset=dataset, model="v-boosted_trees", bundle=MODEL, version=version)


def evicted_from(endpoint: SageMakerEndpoint) -> SageMakerEndpoint:
    """Return the endpoint in a process that is ended as soon as it has to wait."""

    class Evicted(SystemClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    evicted = endpoint_on(endpoint.lake)
    evicted._clock = Evicted()
    return evicted


def changes(service: SageMaker) -> list[str]:
    """Return what has changed anything since it was asked last, in order."""
    found = [name for name, _ in service.calls if not name.startswith(("Describe", "List"))]
    service.calls.clear()
    return found


def variant(service: SageMaker) -> dict[str, Any]:
    (hosted,) = service.hosting.endpoints.values()
    (found,) = hosted.variants
    return found


def assert_serves_one(service: SageMaker, endpoint: SageMakerEndpoint, version: str) -> str:
    """The endpoint serves a deployment, and nothing of another is left. Return the name of its configuration."""
    served = endpoint.find("shop")
    assert served is not None
    assert (served.status, served.version) == (IN_SERVICE, version)
    (hosted,) = service.hosting.endpoints.values()
    assert [*service.models] == [*service.hosting.configs] == [hosted.config]
    archives = [entry.key for entry in endpoint.lake.entries("shop/endpoint/")]
    assert archives == [f"shop/endpoint/{hosted.config}/{BUNDLE}"]
    return hosted.config


def test_the_new_one_is_made_before_and_the_old_one_removed_after_it_answers(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    first = endpoint.deploy(deployment())
    assert first.is_new
    assert changes(service) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    one = assert_serves_one(service, endpoint, "d1")
    service.calls.clear()
    assert not endpoint.deploy(deployment()).is_new
    assert changes(service) == []
    endpoint.deploy(deployment(version="d2"))
    made = ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
    assert changes(service) == [*made, "DeleteEndpointConfig", "DeleteModel"]
    assert assert_serves_one(service, endpoint, "d2") != one
    assert endpoint.delete("shop")
    assert (service.hosting.endpoints, service.hosting.configs, service.models) == ({}, {}, {})
    assert list(endpoint.lake.entries("shop/endpoint/")) == []


def test_a_serverless_model_is_known_by_its_name_since_it_cannot_be_isolated(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    options = endpoint.options.model_copy(update={"subnets": ["subnet-1"], "security_groups": ["sg-1"]})
    endpoint = endpoint.model_copy(update={"options": options})
    endpoint.deploy(deployment(Section(memory=4096, max_concurrency=7)))
    (model,) = service.models.values()
    assert "-serverless-" in model["ModelName"]
    assert not {"EnableNetworkIsolation", "VpcConfig"} & model.keys()
    (config,) = service.hosting.configs.values()
    assert config["ProductionVariants"][0]["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 7}
    endpoint.deploy(deployment(MACHINES, "d2"))
    (model,) = service.models.values()
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    service.calls.clear()
    with pytest.raises(EndpointError, match=r"never changes to serverless.*churn endpoint shop delete"):
        endpoint.deploy(deployment(version="d3"))
    assert changes(service) == []
    assert_serves_one(service, endpoint, "d2")


def test_weights_and_machines_are_set_as_asked_and_read_back(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    endpoint.deploy(deployment(MACHINES))
    (hosted,) = service.hosting.endpoints.values()
    hosted.variants[0] |= {"DesiredWeight": 0.3, "CurrentWeight": 0.3}
    changes(service)
    assert endpoint.deploy(deployment(MACHINES)).is_new
    assert changes(service) == ["UpdateEndpointWeightsAndCapacities"]
    assert (variant(service)["CurrentWeight"], variant(service)["CurrentInstanceCount"]) == (1.0, 2)
    endpoint.deploy(deployment(replace(MACHINES, count=3)))
    assert changes(service) == ["UpdateEndpointWeightsAndCapacities"]  # how many there are is no other configuration
    assert variant(service)["CurrentInstanceCount"] == 3


def test_what_a_policy_has_scaled_is_kept_and_its_weight_is_not(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    autoscaling = endpoint.session.client("application-autoscaling")

    def targets() -> list[tuple[int, int]]:
        found = autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return [(each["MinCapacity"], each["MaxCapacity"]) for each in found if endpoint.stack in each["ResourceId"]]

    assert endpoint.deploy(deployment(scaled)).is_new
    assert targets() == [(1, 4)]
    assert not endpoint.deploy(deployment(scaled)).is_new
    scaled_up = {"DesiredInstanceCount": 3, "CurrentInstanceCount": 3, "DesiredWeight": 0.5, "CurrentWeight": 0.5}
    service.hosting.endpoints[f"{endpoint.stack}-shop"].variants[0] |= scaled_up
    changes(service)
    endpoint.deploy(deployment(scaled, "d2"))
    assert "UpdateEndpointWeightsAndCapacities" not in changes(service)  # the update itself sets the weight
    assert (variant(service)["CurrentInstanceCount"], variant(service)["CurrentWeight"]) == (3, 1.0)
    assert endpoint.deploy(deployment(replace(scaled, scaling=Scaling(least=2, most=9, invocations=60)), "d2")).is_new
    assert targets() == [(2, 9)]
    (policy,) = autoscaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{endpoint.stack}-shop/variant/champion"
    )["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60
    endpoint.deploy(deployment(MACHINES, "d2"))
    assert targets() == []
    assert variant(service)["CurrentInstanceCount"] == 2
    endpoint.deploy(deployment(scaled, "d2"))
    assert endpoint.delete("shop")
    assert targets() == []


def test_an_endpoint_that_is_updated_while_its_deletion_waits_stays_as_it_is(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    idle = endpoint.deploy(deployment(scaled))
    service.hosting.looks = 3
    with pytest.raises(KeyboardInterrupt):
        evicted_from(endpoint).deploy(deployment(scaled, "d2"))
    with pytest.raises(EndpointError, match="changed meanwhile; it stays"):
        endpoint.delete("shop", unchanged_since=idle.since)
    assert scaled_variants(endpoint) == ["champion"]
    endpoint.deploy(deployment(scaled, "d2"))
    assert_serves_one(service, endpoint, "d2")


# A candidate beside the champion


def beside(share: float, section: Section = MACHINES, version: str = "d1", *, shadow: bool = False) -> Deployment:
    candidate = Candidate(name="candidate", model="v-2", share=share, shadow=shadow)
    return replace(deployment(section, version), candidate=candidate, candidate_bundle=MODEL)


def variants(service: SageMaker) -> dict[str, tuple[float, int]]:
    """Return the weight and the machines of each variant that answers."""
    (hosted,) = service.hosting.endpoints.values()
    return {each["VariantName"]: (each["CurrentWeight"], each["CurrentInstanceCount"]) for each in hosted.variants}


def scaled_variants(endpoint: SageMakerEndpoint) -> list[str]:
    client = endpoint.session.client("application-autoscaling")
    found = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    names = [each["ResourceId"].split("/") for each in found]
    return sorted(variant for _, name, _, variant in names if name == f"{endpoint.stack}-shop")


def test_a_candidate_comes_with_the_configuration_and_its_share_changes_in_place(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(deployment(MACHINES))
    changes(service)
    endpoint.deploy(beside(0.1))
    made = ["CreateModel", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
    assert changes(service) == [*made, "DeleteEndpointConfig", "DeleteModel"]
    assert variants(service) == {"champion": (0.9, 2), "candidate": (0.1, 2)}
    (config,) = service.hosting.configs
    assert sorted(service.models) == [config, f"{config}-candidate"]
    endpoint.deploy(beside(0.25))
    assert changes(service) == ["UpdateEndpointWeightsAndCapacities"]
    assert variants(service) == {"champion": (0.75, 2), "candidate": (0.25, 2)}
    endpoint.deploy(beside(0.25, replace(MACHINES, count=3)))
    assert changes(service) == ["UpdateEndpointWeightsAndCapacities"] * 2  # the machines of one variant at a time
    assert variants(service) == {"champion": (0.75, 3), "candidate": (0.25, 3)}
    endpoint.deploy(deployment(MACHINES))
    assert_serves_one(service, endpoint, "d1")
    assert variants(service) == {"champion": (1.0, 2)}


def test_weights_that_come_back_otherwise_than_asked_are_an_error_in_words(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(beside(0.1))

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateEndpointWeightsAndCapacities", "after"):
            (hosted,) = service.hosting.endpoints.values()
            hosted.wanted[1]["DesiredWeight"] = 0.3

    service.interfere = interfere
    with pytest.raises(EndpointError, match=r"as asked: .*'DesiredWeight': 0\.25.*found .*'CurrentWeight': 0\.3"):
        endpoint.deploy(beside(0.25))


def test_machines_that_do_not_come_are_an_error_with_sagemaker_s_words(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(deployment(MACHINES))
    (hosted,) = service.hosting.endpoints.values()

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateEndpointWeightsAndCapacities", "after"):
            hosted.status, hosted.failure = "Failed", "made up: no capacity"

    service.interfere = interfere
    with pytest.raises(EndpointError, match=r"'DesiredInstanceCount': 3.*found Failed: made up: no capacity; .*#/endp"):
        endpoint.deploy(deployment(replace(MACHINES, count=3)))


def test_each_variant_is_scaled_and_no_longer_before_it_goes(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    endpoint.deploy(deployment(scaled))
    variant(service).update({"DesiredInstanceCount": 3, "CurrentInstanceCount": 3})
    endpoint.deploy(beside(0.1, scaled))
    assert variants(service) == {"champion": (0.9, 3), "candidate": (0.1, 1)}  # what a policy has counted stays
    assert scaled_variants(endpoint) == ["candidate", "champion"]
    at_update: list[list[str]] = []

    def look(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateEndpoint", "before"):
            at_update.append(scaled_variants(endpoint))

    service.interfere = look
    endpoint.deploy(deployment(scaled))
    assert at_update == [["champion"]]
    assert variants(service) == {"champion": (1.0, 4)}  # as many as have answered until now
    endpoint.deploy(beside(0.1, scaled))
    endpoint.delete("shop")
    assert scaled_variants(endpoint) == []


def scale(service: SageMaker, **counts: int) -> None:
    """Let a policy set the machines of variants."""
    (hosted,) = service.hosting.endpoints.values()
    for each in hosted.variants:
        count = counts.get(each["VariantName"], each["CurrentInstanceCount"])
        each.update({"DesiredInstanceCount": count, "CurrentInstanceCount": count})


@pytest.mark.parametrize(("most", "left"), [(9, 5), (4, 4)])
def test_the_champion_that_answers_all_again_has_the_machines_for_it_at_once(
    service: SageMaker, endpoint: SageMakerEndpoint, most: int, left: int
) -> None:
    """Whether a candidate was promoted or taken back, whose share most of the requests were: a policy needs minutes to follow."""
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=most, invocations=600))
    endpoint.deploy(deployment(scaled))
    endpoint.deploy(beside(0.9, scaled))
    scale(service, champion=1, candidate=4)
    changes(service)
    endpoint.deploy(deployment(scaled, "d2"))
    assert variants(service) == {"champion": (1.0, left)}
    assert changes(service).count("UpdateEndpoint") == 1  # which brings them itself
    endpoint.deploy(deployment(scaled, "d2"))
    assert variants(service) == {"champion": (1.0, left)}
    assert changes(service) == []


def test_a_candidate_has_the_machines_for_its_share_before_it_has_the_share(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=9, invocations=600))
    endpoint.deploy(deployment(scaled))
    scale(service, champion=6)
    endpoint.deploy(beside(0.5, scaled))
    assert variants(service) == {"champion": (0.5, 6), "candidate": (0.5, 3)}
    scale(service, champion=3)
    changes(service)
    endpoint.deploy(beside(0.9, scaled))
    assert changes(service) == ["UpdateEndpointWeightsAndCapacities"] * 2  # machines, then weights
    assert variants(service)["candidate"] == (0.9, 6)  # 90% of six
    assert variants(service)["champion"] == (0.1, 3)  # the policy takes what is too much

    def interfere(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateEndpointWeightsAndCapacities", "after"):
            (hosted,) = service.hosting.endpoints.values()
            hosted.wanted[0]["DesiredInstanceCount"] = 3  # none is to be had

    service.interfere = interfere
    with pytest.raises(EndpointError, match=r"as asked: .*'DesiredInstanceCount': 9.*; found InService: "):
        endpoint.deploy(beside(0, scaled))
    served = endpoint.find("shop")
    assert served is not None
    assert served.candidate is not None
    assert (served.candidate.share, variants(service)["candidate"][1]) == (0.9, 6)  # it answers on


@pytest.mark.parametrize("operation", ["UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"])
def test_an_endpoint_that_a_policy_scales_at_that_moment_is_changed_once_that_is_over(
    service: SageMaker, endpoint: SageMakerEndpoint, operation: str
) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    endpoint.deploy(beside(0.1, scaled))
    (hosted,) = service.hosting.endpoints.values()

    def scale(called: str, phase: str) -> None:
        if (called, phase) == (operation, "before") and hosted.variants[0]["CurrentInstanceCount"] == 1:
            champion, candidate = hosted.variants
            hosted.wanted = [champion | {"DesiredInstanceCount": 3}, dict(candidate)]
            hosted.status, hosted.looks = "Updating", 2

    service.interfere = scale
    endpoint.deploy(beside(0.25, scaled, "d2" if operation == "UpdateEndpoint" else "d1"))
    assert changes(service).count(operation) == 2
    assert variants(service) == {"champion": (0.75, 3), "candidate": (0.25, 1)}


def test_a_deployment_that_is_refused_leaves_what_is_served_scaled(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    endpoint.deploy(deployment(scaled))
    with pytest.raises(EndpointError, match="never changes to serverless"):
        endpoint.deploy(deployment(version="d2"))
    assert scaled_variants(endpoint) == ["champion"]

    def refuse(operation: str, _phase: str) -> None:
        if operation == "CreateModel":
            raise Refusal("AccessDeniedException", "made up")

    service.interfere = refuse
    with pytest.raises(EndpointError, match="made up"):
        endpoint.deploy(deployment(replace(scaled, instance="ml.m5.xlarge"), "d2"))
    assert scaled_variants(endpoint) == ["champion"]


def test_machines_of_another_type_are_not_scaled_while_they_come(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    """AWS refuses an update that changes the type of machines that a policy counts."""
    scaled = replace(MACHINES, count=None, scaling=Scaling(least=1, most=4, invocations=600))
    endpoint.deploy(deployment(scaled))
    variant(service).update({"DesiredInstanceCount": 3, "CurrentInstanceCount": 3})
    at_update: list[list[str]] = []

    def look(operation: str, phase: str) -> None:
        if (operation, phase) == ("UpdateEndpoint", "before"):
            at_update.append(scaled_variants(endpoint))

    service.interfere = look
    endpoint.deploy(deployment(scaled, "d2"))
    endpoint.deploy(deployment(replace(scaled, instance="ml.m5.xlarge"), "d2"))
    assert at_update == [["champion"], []]
    assert scaled_variants(endpoint) == ["champion"]
    assert variant(service)["CurrentInstanceCount"] == 3


def test_a_shadow_is_configured_as_one_and_has_a_copy_of_each_request(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(beside(0.0, shadow=True))
    (config,) = service.hosting.configs.values()
    (champion,), (shadow,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["InitialInstanceCount"]) == ("candidate", 2)
    assert shadow["InitialVariantWeight"] == champion["InitialVariantWeight"] == 1.0
    changes(service)
    endpoint.deploy(beside(0.1))  # from the shadow into the light
    assert "UpdateEndpoint" in changes(service)
    assert variants(service) == {"champion": (0.9, 2), "candidate": (0.1, 2)}


def test_the_dashboard_shows_what_is_deployed_and_goes_with_it(endpoint: SageMakerEndpoint) -> None:
    cloudwatch = endpoint.session.client("cloudwatch")
    name = f"{endpoint.stack}-shop-{cloudwatch.meta.region_name}"

    def lines() -> set[tuple[str, str, str]]:
        """Return the metrics that are shown, each with its variant and its statistic."""
        body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
        shown = [line for widget in body["widgets"] for line in widget["properties"]["metrics"]]
        return {(metric, variant, how["stat"]) for _, metric, _, _, _, variant, how in shown}

    served = endpoint.deploy(deployment())
    assert served.dashboard.endswith(f"#dashboards/dashboard/{name}")
    assert ("ServerlessConcurrentExecutionsUtilization", "champion", "Maximum") in lines()
    assert not endpoint.deploy(deployment()).is_new
    endpoint.deploy(beside(0.1))
    for variant in ("champion", "candidate"):
        for metric, statistic in (
            ("Invocation5XXErrors", "Sum"),
            ("ModelLatency", "p99"),
            ("CPUUtilization", "Average"),
        ):
            assert (metric, variant, statistic) in lines()
    endpoint.deploy(deployment(MACHINES))
    assert {variant for _, variant, _ in lines()} == {"champion"}
    endpoint.delete("shop")
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        lines()


def test_errors_ring_where_the_stack_has_a_topic(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    cloudwatch, name = endpoint.session.client("cloudwatch"), f"{endpoint.stack}-shop-endpoint-errors"

    def alarms() -> list[str]:
        found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return [action for alarm in found for action in alarm["AlarmActions"]]

    endpoint.deploy(deployment())
    assert alarms() == []
    topic = endpoint.session.client("sns").create_topic(Name=f"{endpoint.stack}-churn-alarms")["TopicArn"]
    assert endpoint.deploy(deployment()).is_new
    assert alarms() == [topic]
    assert not endpoint.deploy(deployment()).is_new
    endpoint.deploy(beside(0.1))
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{endpoint.stack}-shop-candidate-errors"])["MetricAlarms"]
    assert {"Name": "VariantName", "Value": "candidate"} in alarm["Dimensions"]
    endpoint.deploy(deployment(MACHINES))
    assert cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"] == []
    endpoint.delete("shop")
    assert alarms() == []


def test_what_sagemaker_would_refuse_is_said_before_anything_is_made(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    long = {f"column {n}": "{value} calls, as ever" for n in range(2_000)}
    asked = deployment(replace(MACHINES, instance="ml.m5.huge"))
    with pytest.raises(EndpointError) as refusal:
        endpoint.deploy(replace(asked, dataset=replace(asked.dataset, words=long)))
    for words in ("InstanceType; found 'ml.m5.huge'", "at most 32,768 bytes of names and values in Environment"):
        assert words in str(refusal.value)
    assert service.calls == []
    assert list(endpoint.lake.entries("shop/endpoint/")) == []


def test_requests_and_answers_are_kept_where_the_spec_says_so(
    aws_lake: S3Lake, service: SageMaker, endpoint: SageMakerEndpoint, tmp_path: Path
) -> None:
    class Keeping(AwsHost):
        def start(self, endpoint: str, model: Fields) -> Answering:
            return Quick().start(endpoint, model)

    service.hosting.host = Keeping(**vars(host_on(aws_lake, tmp_path)))
    endpoint.deploy(deployment(replace(MACHINES, capture=0.5)))
    for _ in range(4):
        endpoint.ask("shop", CUSTOMER, content_type="application/json", accept="*/*")
    kept = [entry.key for entry in aws_lake.entries("jobs/captured/shop/")]
    assert len(kept) == 2
    assert json.loads(aws_lake.read(kept[0]))["captureData"].keys() == {"endpointInput", "endpointOutput"}


def test_requests_are_counted_however_long_ago(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    endpoint.deploy(deployment())
    name, now = f"{endpoint.stack}-shop", datetime.now(UTC)
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "champion"}]
    for days in (0, 6, 50):
        datum = {"MetricName": "Invocations", "Dimensions": dimensions, "Value": 2.0}
        asked_at = {"Timestamp": now - timedelta(days=days)}
        endpoint.session.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum | asked_at])
    counts = [endpoint.count_requests("shop", timedelta(days=days)) for days in (1, 7, 60)]
    assert counts == [2.0, 4.0, 6.0]


# What fails


def test_a_request_that_sagemaker_does_not_take_is_an_error_with_its_words(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(deployment())
    with pytest.raises(EndpointError, match="Request larger than 4000000 bytes"):
        endpoint.ask("shop", b" " * 4_000_001, content_type="application/json", accept="*/*")


def test_an_endpoint_that_never_answered_is_made_anew(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    service.hosting.allowed = lambda _model: False
    with pytest.raises(EndpointError, match=r"(?s)found Failed: .*ping health check.*; nothing answers.*#/endpoints/"):
        endpoint.deploy(deployment())
    broken = endpoint.find("shop")
    assert broken is not None
    assert (broken.status, broken.version, broken.model) == ("Failed", "", "")
    service.hosting.allowed = lambda _model: True
    changes(service)
    endpoint.deploy(deployment())
    assert changes(service)[:1] == ["DeleteEndpoint"]
    assert_serves_one(service, endpoint, "d1")


def test_of_a_failed_update_nothing_is_left(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    endpoint.deploy(deployment())
    service.hosting.allowed = lambda _model: False
    with pytest.raises(EndpointError, match=r"(?s)found InService: .*the one before goes on answering"):
        endpoint.deploy(deployment(version="d2"))
    assert_serves_one(service, endpoint, "d1")
    service.hosting.allowed = lambda _model: True
    endpoint.deploy(deployment(version="d2"))
    assert_serves_one(service, endpoint, "d2")


def test_an_endpoint_that_can_be_neither_updated_nor_replaced_is_left_to_a_person(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(deployment())
    (hosted,) = service.hosting.endpoints.values()
    hosted.status, hosted.failure = "UpdateRollbackFailed", "made up"
    changes(service)
    with pytest.raises(EndpointError, match=r"that can be updated; found UpdateRollbackFailed: made up"):
        endpoint.deploy(deployment(version="d2"))
    assert changes(service) == []


@pytest.mark.prove
@pytest.mark.parametrize("phase", ["before", "after"])
def test_broken_off_at_any_call_and_run_again_it_ends_as_if_nothing_had_been(
    service: SageMaker, endpoint: SageMakerEndpoint, phase: str
) -> None:
    endpoint.deploy(deployment(MACHINES))
    at, version, broken = 0, 1, True
    while broken:
        at, version, left = at + 1, version + 1, [at + 1]

        def interfere(_operation: str, when: str, left: list[int] = left) -> None:
            if when == phase:
                left[0] -= 1
                if left[0] == 0:
                    raise Refusal("AccessDeniedException", "broken off")

        service.interfere = interfere
        try:
            endpoint.deploy(deployment(MACHINES, f"d{version}"))
        except EndpointError as error:
            assert "broken off" in str(error)  # noqa: PT017  # of each call but the last ones, which nothing depends on
        broken = left[0] <= 0
        service.interfere = lambda _operation, _phase: None
        endpoint.deploy(deployment(MACHINES, f"d{version}"))
        assert_serves_one(service, endpoint, f"d{version}")
    assert at > 10


SCALED = replace(MACHINES, count=None, scaling=Scaling(least=1, most=9, invocations=600))


def live(service: SageMaker, endpoint: SageMakerEndpoint, before: Sequence[Deployment], counts: dict[str, int]) -> None:
    """Make the endpoint as it is before a step of its life."""
    endpoint.delete("shop")
    for each in before:
        endpoint.deploy(each)
    if before:
        scale(service, **counts)


def state(service: SageMaker, endpoint: SageMakerEndpoint) -> dict[str, object]:
    """Return all that there is of an endpoint, but for times."""
    session, (name,) = endpoint.session, [f"{endpoint.stack}-shop"]
    hosted = service.hosting.endpoints.get(name)
    autoscaling, cloudwatch = session.client("application-autoscaling"), session.client("cloudwatch")
    targets = autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    policies = autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    return {
        "serves": hosted and (hosted.status, hosted.config, hosted.variants, hosted.shadows),
        "configs": sorted(service.hosting.configs),
        "models": sorted(service.models),
        "scaled": sorted(
            (each["ResourceId"], each["MinCapacity"], each["MaxCapacity"])
            for each in targets
            if name in each["ResourceId"]
        ),
        "policies": sorted(each["ResourceId"] for each in policies if name in each["ResourceId"]),
        "alarms": sorted(
            each["AlarmName"] for each in cloudwatch.describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
        ),
        "dashboards": [
            cloudwatch.get_dashboard(DashboardName=each["DashboardName"])["DashboardBody"]
            for each in cloudwatch.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
        ],
        "archives": [entry.key for entry in endpoint.lake.entries("shop/endpoint/")],
    }


def name_changes(operation: str, _headers: Mapping[str, str]) -> str:
    """Name all calls alike that change anything: a kill after another leaves what one after the change before it leaves."""
    verb = operation.partition(".")[2]
    return verb if verb.startswith(("Describe", "List", "Get", "Head")) else "a change"


@pytest.mark.prove
@pytest.mark.parametrize(
    ("before", "counts", "step"),
    [
        pytest.param([], {}, deployment(SCALED), id="its creation"),
        pytest.param([deployment(SCALED)], {"champion": 4}, beside(0.5, SCALED), id="a candidate"),
        pytest.param(
            [deployment(SCALED), beside(0.1, SCALED)],
            {"champion": 4, "candidate": 1},
            beside(0.5, SCALED),
            id="a larger share",
        ),
        pytest.param(
            [deployment(SCALED), beside(0.5, SCALED)],
            {"champion": 2, "candidate": 4},
            deployment(SCALED, "d2"),
            id="a promotion",
        ),
        pytest.param(
            [deployment(SCALED), beside(0.5, SCALED)],
            {"champion": 3, "candidate": 4},
            beside(0.25, MACHINES),
            id="machines as counted in the spec",
        ),
        pytest.param(
            [deployment(SCALED), beside(0.5, SCALED)], {"champion": 3, "candidate": 4}, None, id="its deletion"
        ),
    ],
)
def test_a_worker_that_is_killed_after_any_change_leaves_what_the_next_one_ends_as_if_nothing_had_been(
    service: SageMaker,
    endpoint: SageMakerEndpoint,
    before: list[Deployment],
    counts: dict[str, int],
    step: Deployment | None,
) -> None:
    endpoint.session.client("sns").create_topic(Name=f"{endpoint.stack}-churn-alarms")

    def act() -> None:
        if step:
            endpoint.deploy(step)
        else:
            endpoint.delete("shop")

    live(service, endpoint, before, counts)
    act()
    expected, number = state(service, endpoint), 0
    while True:
        number += 1
        live(service, endpoint, before, counts)
        death = Death("a change", KILLED, number, name=name_changes)
        with failing(death), suppress(Killed):
            act()
        if not death.is_gone:
            break
        act()
        assert state(service, endpoint) == expected, f"killed after change {number}, {death.seen[-3:]}"
    assert number > 2


def test_a_configuration_that_an_earlier_deployment_left_counts_the_machines_of_today(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    live(service, endpoint, [deployment(SCALED), beside(0.5, SCALED)], {"champion": 1, "candidate": 1})
    death = Death("sagemaker.CreateEndpointConfig", KILLED)
    with failing(death), pytest.raises(Killed):
        endpoint.deploy(deployment(SCALED, "d2"))
    scale(service, champion=4, candidate=4)  # there are more requests by the time that somebody comes back to it
    endpoint.deploy(deployment(SCALED, "d2"))
    assert variants(service) == {"champion": (1.0, 8)}


def test_an_update_that_nobody_waits_for_any_more_is_found_and_not_begun_again(
    service: SageMaker, endpoint: SageMakerEndpoint
) -> None:
    endpoint.deploy(deployment())
    service.hosting.looks = 3
    changes(service)
    with pytest.raises(KeyboardInterrupt):
        evicted_from(endpoint).deploy(deployment(version="d2"))
    assert changes(service)[-1] == "UpdateEndpoint"
    endpoint.deploy(deployment(version="d2"))
    assert changes(service) == ["DeleteEndpointConfig", "DeleteModel"]
    assert_serves_one(service, endpoint, "d2")


def test_a_call_whose_answer_is_lost_is_done_once(service: SageMaker, endpoint: SageMakerEndpoint) -> None:
    lost: set[str] = set()

    def interfere(operation: str, phase: str) -> None:
        if phase == "after" and not operation.startswith(("Describe", "List")) and operation not in lost:
            lost.add(operation)
            raise Reset

    service.interfere = interfere
    endpoint.deploy(deployment())
    endpoint.deploy(deployment(version="d2"))
    assert_serves_one(service, endpoint, "d2")
    assert endpoint.delete("shop")
    assert lost == {
        *("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"),
        *("DeleteEndpointConfig", "DeleteModel", "DeleteEndpoint"),
    }


@pytest.mark.parametrize("number", range(1, 6))
def test_an_endpoint_is_deleted_though_the_answer_to_one_of_the_calls_is_lost(
    service: SageMaker, endpoint: SageMakerEndpoint, number: int
) -> None:
    """Of the scaling of each of two variants, alarms, the dashboard, and itself."""
    endpoint.session.client("sns").create_topic(Name=f"{endpoint.stack}-churn-alarms")
    live(service, endpoint, [beside(0.5, SCALED)], {})
    faults = Faults("a change", "reset after", number, name=name_changes)
    with failing(faults):
        assert endpoint.delete("shop")
    assert not faults.way
    left = state(service, endpoint)
    del left["policies"]  # moto keeps those of what is deregistered
    assert not any(left.values())


# Executed, by the managed image's own releases and server


@pytest.mark.prove
def test_the_image_s_server_answers_and_one_that_does_not_begin_says_why_in_its_log(
    aws_lake: S3Lake, tmp_path: Path
) -> None:
    from tests.aws.sagemaker.containers import IMAGE

    write_bundle(made_bundle("boosted_trees"), tmp_path / "bundle")
    aws_lake.put(MODEL, tmp_path / "bundle")
    with running_jobs(aws_lake, tmp_path / "machines", python=IMAGE / "bin" / "python"):
        endpoint = endpoint_on(aws_lake, JobOptions(shortest_pause=0.1, longest_pause=0.2))
        assert endpoint.role == ROLE
        endpoint.deploy(deployment(MACHINES))
        answer = endpoint.ask("shop", CUSTOMER, content_type="application/json", accept="application/json")
        assert (answer.model, json.loads(answer.body)["model_version"]) == ("v-boosted_trees", "v-boosted_trees")
        aws_lake.put("shop/tuned_model/m2/model.tar.gz", b"nothing")
        broken = replace(deployment(MACHINES, "d2"), bundle="shop/tuned_model/m2/model.tar.gz")
        with pytest.raises(EndpointError, match=r"(?s)goes on answering.*Expected a tar.gz file"):
            endpoint.deploy(broken)
        assert endpoint.ask("shop", CUSTOMER, content_type="application/json", accept="*/*").body == answer.body
        assert endpoint.delete("shop")


@pytest.mark.prove
def test_two_models_answer_by_the_weights_asked_and_a_customer_by_one_of_them_if_the_caller_divides(
    aws_lake: S3Lake, tmp_path: Path
) -> None:
    """Both in servers of the image's own. Weights draw each request; a caller who wants each customer answered by one model names the variant."""
    from tests.aws.sagemaker.containers import IMAGE

    for family, key in (("boosted_trees", MODEL), ("random_forest", "shop/tuned_model/m2/model.tar.gz")):
        write_bundle(made_bundle(family), tmp_path / family)
        aws_lake.put(key, tmp_path / family)
    forest = Candidate(name="forest", model="v-random_forest", share=0.25)
    both = replace(deployment(replace(MACHINES, count=1)), candidate=forest, candidate_bundle=key)
    with running_jobs(aws_lake, tmp_path / "machines", python=IMAGE / "bin" / "python") as service:
        endpoint = endpoint_on(aws_lake, JobOptions(shortest_pause=0.1, longest_pause=0.2))
        assert endpoint.deploy(both).candidate == forest
        assert variants(service) == {"champion": (0.75, 1), "forest": (0.25, 1)}

        def answered_by(customer: dict[str, Any], variant: str = "") -> str:
            body = json.dumps(customer).encode()
            return endpoint.ask("shop", body, content_type="application/json", accept="*/*", variant=variant).model

        customers = records(landed(100, seed=3))
        drawn = [answered_by(each) for each in customers]
        assert 4 <= drawn.count("v-random_forest") <= 46  # 25 of 100, within five standard deviations
        assert len({answered_by(customers[0]) for _ in range(40)}) == 2  # nobody is anybody's
        division = division_of("shop", Share(forest.name, forest.model, forest.share))
        mine = {each["customer"]: division.is_challenger(str(each["customer"])) for each in customers}
        for customer in customers[:20]:
            is_forests = mine[customer["customer"]]
            expected = "v-random_forest" if is_forests else "v-boosted_trees"
            assert answered_by(customer, forest.name if is_forests else "champion") == expected
        assert endpoint.delete("shop")
