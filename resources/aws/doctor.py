"""What an installation on AWS needs before anything is spent, looked at one by one."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from churn_model.errors import ChurnError, problem
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.endpoint import Endpoint
from resources.aws.bucket_region import require_bucket_here
from resources.aws.image import check_image, find_managed_image
from resources.aws.job_requests import JobOptions
from resources.aws.lake import S3Lake
from resources.aws.session import AwsSession, aws_errors, code_of
from resources.aws.tuning import most_trials_at_once
from resources.errors import CommandError, SwapConflict
from resources.settings import AwsSettings

_STACK_REMEDY = "make the stack: docs/tasks/run_on_aws.md"
_NO_ENDPOINTS = "none needed: no spec has a section `endpoint`"
_SERVERLESS_QUOTA = "Maximum total concurrency that can be allocated across all serverless endpoints"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, whether it is as it should be, and what was found or is to be done."""

    subject: str
    is_good: bool
    text: str


def examine_aws(settings: AwsSettings, options: JobOptions, datasets: Collection[Dataset] = ()) -> Iterator[Finding]:
    """Yield a finding for each thing that jobs, tables, the lake and endpoints need. Nothing is left behind, and nothing is started."""
    endpoints = [dataset.endpoint for dataset in datasets if dataset.endpoint]
    session = AwsSession(region=settings.region)
    lake = S3Lake(session=session, bucket=settings.bucket, prefix=settings.prefix, kms_key=settings.kms_key)
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("credentials", lambda: _identity(session)),
        ("region", lambda: _region(session)),
        ("bucket", lambda: _bucket(session, settings.bucket)),
        ("conditional writes", lambda: _conditional_writes(lake)),
        ("Glue database", lambda: _database(session, settings.stack)),
        ("Athena workgroup", lambda: _workgroup(session, settings.stack)),
        ("role of the jobs", lambda: _role(session, settings.role)),
        ("image", lambda: _image(session, settings)),
        ("right to pass the jobs' role", lambda: _passing(session, settings, settings.role)),
        ("KMS key", lambda: _key(session, settings.kms_key)),
        ("VPC endpoints", lambda: _endpoints(session, options.subnets)),
        ("Lake Formation", lambda: _lake_formation(session, settings.stack)),
        ("instance types", lambda: _instances(session, options, datasets)),
        ("role of the models", lambda: _role(session, settings.model_role)),
        (
            "right to pass the models' role",
            lambda: _passing(session, settings, settings.model_role) if endpoints else _NO_ENDPOINTS,
        ),
        ("quotas of endpoints", lambda: _endpoint_quotas(session, endpoints)),
    )
    for subject, check in checks:
        try:
            yield Finding(subject, True, check())
        except ChurnError as error:
            yield Finding(subject, False, str(error))


def _identity(session: AwsSession) -> str:
    with aws_errors(CommandError, "valid credentials"):
        return str(session.client("sts").get_caller_identity()["Arn"])


def _region(session: AwsSession) -> str:
    with aws_errors(CommandError, "a region"):
        return str(session.client("sagemaker").meta.region_name)


def _bucket(session: AwsSession, bucket: str) -> str:
    place = require_bucket_here(session, bucket)
    with aws_errors(CommandError, f"the bucket {bucket}"):
        versioning = session.client("s3").get_bucket_versioning(Bucket=bucket).get("Status", "off")
    return f"{bucket} in {place}, versioning {versioning.lower()}"


def _conditional_writes(lake: S3Lake) -> str:
    key = f"jobs/doctor-{uuid4().hex}"
    lake.swap(key, None, b"1")
    try:
        lake.swap(key, None, b"2")
    except SwapConflict:
        return "the second of two writers is refused, as it has to be"
    finally:
        lake.remove([key])
    raise CommandError(
        problem(
            expected="the bucket to refuse a write on the condition that there is no object",
            found="that it took it",
            todo="use a general-purpose bucket of S3 itself; some compatible stores ignore conditions",
        )
    )


def _database(session: AwsSession, name: str) -> str:
    from botocore.exceptions import ClientError

    with aws_errors(CommandError, f"the Glue database {name}"):
        try:
            session.client("glue").get_database(Name=name)
        except ClientError as error:
            if code_of(error) == "EntityNotFoundException":
                raise _missing(f"the Glue database {name}") from error
            raise
    return name


def _workgroup(session: AwsSession, name: str) -> str:
    with aws_errors(CommandError, f"the Athena workgroup {name}"):
        group = session.client("athena").get_work_group(WorkGroup=name).get("WorkGroup")
    if not group:
        raise _missing(f"the Athena workgroup {name}")
    configuration = group.get("Configuration", {})
    location = configuration.get("ResultConfiguration", {}).get("OutputLocation")
    if not location:
        raise CommandError(
            problem(
                expected=f"a place for results in the Athena workgroup {name}",
                found="none",
                todo="set its output location",
            )
        )
    limit = configuration.get("BytesScannedCutoffPerQuery")
    return f"{name}, results in {location}, " + (
        f"at most {limit:,} bytes a query" if limit else "no limit of scanned bytes"
    )


def _role(session: AwsSession, arn: str) -> str:
    from botocore.exceptions import ClientError

    with aws_errors(CommandError, f"the role {arn}"):
        try:
            role = session.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError as error:
            if code_of(error) in ("NoSuchEntity", "NoSuchEntityException"):
                raise _missing(f"the role {arn}") from error
            raise
    if "sagemaker.amazonaws.com" not in str(role["AssumeRolePolicyDocument"]):
        raise CommandError(
            problem(
                expected=f"a role that SageMaker may take, {arn}",
                found="a trust policy without sagemaker.amazonaws.com",
                todo="correct CHURN_ROLE or CHURN_MODEL_ROLE, or the role's trust policy",
            )
        )
    return arn


def _image(session: AwsSession, settings: AwsSettings) -> str:
    return check_image(settings.image) or find_managed_image(session.client("sagemaker").meta.region_name)


def _passing(session: AwsSession, settings: AwsSettings, role: str) -> str:
    """Return that a model with this role was made and removed again: SageMaker takes nothing for one, and asks for the same right as for a job."""
    sagemaker, name = session.client("sagemaker"), f"{settings.stack}-doctor-{uuid4().hex}"
    with aws_errors(CommandError, f"SageMaker to be given the role {role}"):
        sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": _image(session, settings)},
            ExecutionRoleArn=role,
            EnableNetworkIsolation=True,
        )
        sagemaker.delete_model(ModelName=name)
    return f"SageMaker is given {role}"


def _key(session: AwsSession, arn: str) -> str:
    """Return the key. Whether who asks may use it is asked without using it; what the jobs' role may, only a job shows."""
    from botocore.exceptions import ClientError

    if not arn:
        return "none named: the bucket's own default encryption"
    with aws_errors(CommandError, f"the KMS key {arn}"):
        kms = session.client("kms")
        state = kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
        if state == "Enabled":
            try:
                kms.generate_data_key(KeyId=arn, KeySpec="AES_256", DryRun=True)
            except ClientError as error:
                if code_of(error) != "DryRunOperationException":  # by which KMS says that it would have
                    raise
    if state != "Enabled":
        raise CommandError(
            problem(
                expected=f"an enabled KMS key {arn}", found=state, todo="enable it, or name another in CHURN_KMS_KEY"
            )
        )
    return arn


# A job itself has no network: SageMaker moves its files and its logs, through the VPC if the job has one.
_ENDPOINTS = ("s3", "logs", "sts", "ecr.api", "ecr.dkr", "kms")


def _endpoints(session: AwsSession, subnets: Sequence[str]) -> str:
    """Return the endpoints of the VPC of the jobs' subnets. Raise CommandError for a subnet without a way out and without endpoints."""
    if not subnets:
        return "none needed: jobs have no VPC"
    with aws_errors(CommandError, f"the subnets {', '.join(subnets)}"):
        ec2 = session.client("ec2")
        vpcs = {each["VpcId"] for each in ec2.describe_subnets(SubnetIds=list(subnets))["Subnets"]}
        inside = [{"Name": "vpc-id", "Values": sorted(vpcs)}]
        found = {
            each["ServiceName"].split(".", 3)[3]
            for page in ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=inside)
            for each in page["VpcEndpoints"]
        }
        tables = ec2.describe_route_tables(Filters=inside)["RouteTables"]
    routes = [route for table in tables for route in table["Routes"]]
    has_way_out = any(route.get("NatGatewayId") or route.get("TransitGatewayId") for route in routes)
    missing = [name for name in _ENDPOINTS if name not in found]
    if missing and not has_way_out:
        raise CommandError(
            problem(
                expected=f"endpoints of {', '.join(_ENDPOINTS)} in {', '.join(sorted(vpcs))}, which has no NAT gateway",
                found=f"none of {', '.join(missing)}",
                todo="make them: a job would wait for its files until its time limit",
            )
        )
    return f"{', '.join(sorted(found)) or 'none'}, {'and a NAT gateway' if has_way_out else 'no NAT gateway'}"


def _lake_formation(session: AwsSession, database: str) -> str:
    """Return who decides about tables. Raise CommandError if new tables are Lake Formation's alone and nothing is granted on the database."""
    with aws_errors(CommandError, "the settings of Lake Formation"):
        client = session.client("lakeformation")
        defaults = client.get_data_lake_settings()["DataLakeSettings"].get("CreateTableDefaultPermissions", [])
        if any(each["Principal"].get("DataLakePrincipalIdentifier") == "IAM_ALLOWED_PRINCIPALS" for each in defaults):
            return "IAM decides about new tables"
        resource = {"Database": {"Name": database}}
        granted = client.list_permissions(Resource=resource)["PrincipalResourcePermissions"]
    if not granted:
        raise CommandError(
            problem(
                expected=f"permissions on the database {database} in Lake Formation, which decides about tables here",
                found="none",
                todo="grant CREATE_TABLE, DESCRIBE and SELECT on all its tables to who runs churn, in the console of Lake Formation",
            )
        )
    who = sorted({each["Principal"]["DataLakePrincipalIdentifier"].rpartition("/")[2] for each in granted})
    return f"decides; granted to {', '.join(who)}"


def _instances(session: AwsSession, options: JobOptions, datasets: Collection[Dataset]) -> str:
    """Return the quotas of the instance types of jobs. Raise CommandError for those that are too small."""
    wanted = {f"{name} for processing job usage": 1 for name in options.instances}
    usages = {"spot training job" if options.spot else "training job": 1}
    if options.warm_minutes:
        usages["training warm pool"] = 1
    if tuned := [each.search for each in datasets if each.search.engine == "tuner"]:
        usages["training job"] = max(map(most_trials_at_once, tuned))  # of which none is on a spot instance
    wanted |= {f"{name} for {usage} usage": least for name in options.training_types for usage, least in usages.items()}
    if any(each.scoring.engine == "transform" for each in datasets):
        wanted[f"{options.instances[0]} for transform job usage"] = 1
    return _require_quotas(session, wanted, "name other types in CHURN_JOBS")


def _endpoint_quotas(session: AwsSession, endpoints: Sequence[Endpoint]) -> str:
    """Return the quotas that the endpoints of all specs count against. Raise CommandError for those that are too small for them together."""
    wanted: Counter[str] = Counter()
    for each in endpoints:
        if each.is_serverless:
            wanted[_SERVERLESS_QUOTA] += each.most_at_once
        else:
            most = each.scaling.most if each.scaling else each.instances
            wanted[f"{each.instance_type} for endpoint usage"] += most
    if not wanted:
        return _NO_ENDPOINTS
    return _require_quotas(session, wanted, "ask for less in the sections `endpoint` of the specs")


def _require_quotas(session: AwsSession, wanted: Mapping[str, int], otherwise: str) -> str:
    """Return the quotas of these names. Raise CommandError for those that are smaller than what is wanted."""
    quotas = _list_quotas(session, "list_service_quotas", wanted)
    if missing := wanted.keys() - quotas.keys():  # a quota without a value of the account's own may be left out
        quotas |= _list_quotas(session, "list_aws_default_service_quotas", missing)
    short = {name: least for name, least in sorted(wanted.items()) if quotas.get(name, 0) < least}
    if short:
        raise CommandError(
            problem(
                expected=f"quotas of at least {', '.join(f'{least} {name}' for name, least in short.items())}",
                found=", ".join(f"{quotas.get(name, 0):g}" for name in short),
                todo=f"ask for them in the console under Service Quotas, or {otherwise}",
            )
        )
    return ", ".join(f"{name}: {value:g}" for name, value in sorted(quotas.items()))


def _list_quotas(session: AwsSession, method: str, names: Collection[str]) -> dict[str, float]:
    with aws_errors(CommandError, "the quotas of SageMaker"):
        pages = session.client("service-quotas").get_paginator(method).paginate(ServiceCode="sagemaker")
        return {
            each["QuotaName"]: each["Value"] for page in pages for each in page["Quotas"] if each["QuotaName"] in names
        }


def _missing(what: str) -> CommandError:
    return CommandError(problem(expected=what, found="none", todo=_STACK_REMEDY))
