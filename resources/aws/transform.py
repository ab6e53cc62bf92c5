"""A batch scored by SageMaker Batch Transform: each part of its rows is one request to the model's server, and its predictions are one object.

The model is the bundle with today's code. The spec, with today's costs, is in the job's environment. What is known of each part is in the footer of
its predictions, so that the report is made without reading the data.
"""

import gzip
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import copyfileobj
from typing import Any

from churn_model.errors import listed, problem
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.scored_part import ScoredPart
from churn_model.reports.step_report import REPORT, PublishedFile, ReportError, StepReport
from churn_model.steps.score_report import report_parts
from churn_model.steps.transform_variables import MOST_BYTES, PARQUET, to_variables
from resources.aws.image import expected_xgboost
from resources.aws.job_requests import RESULT, ROOT, JobOptions
from resources.aws.jobs.clock import Clock
from resources.aws.jobs.limits import find_problems
from resources.aws.jobs.models import Models
from resources.aws.jobs.names import STACK_TAG
from resources.aws.lake import S3Lake
from resources.catalog.digests import digest_object
from resources.catalog.integrity import read_manifest
from resources.catalog.names import PREDICTIONS, ROWS
from resources.catalog.versions import restrict_dataset
from resources.errors import NotInLake, StepFailed
from resources.ports.runner import StepRequest

ENDING = ".out"
"""What SageMaker appends to an input's name."""
CODE_FOLDER = "code"
SERVER = "churn_model.steps.transform:app"
_ANSWER_SECONDS = 3600  # SageMaker's own limit for one request
_MEGABYTE = 1 << 20
_PARTS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class JobModel:
    """What the model of a job is made of, beside the bundle: the image, the jobs' role, the stack, and the project whose code scores."""

    image: str
    role: str
    stack: str
    code: Path


class BatchTransform:
    """The transform job of one step: what goes in, and what has come out. Its model has its name."""

    def __init__(self, lake: S3Lake, request: StepRequest, sagemaker: Any, clock: Clock, options: JobOptions) -> None:
        self._lake, self._request, self._sagemaker, self._options = lake, request, sagemaker, options
        self._scored: dict[str, Sequence[ScoredPart]] = {}  # by the prefix of a job's result
        self._models = Models(sagemaker, clock, options.shortest_pause, options.longest_pause)

    def prepare(self, name: str, prefix: str, model: JobModel) -> dict[str, Any]:
        """Make the model of the job of this name, and return the job's request. The job reads its model and writes below `prefix`.

        Before anything is written both requests are checked. Raise StepFailed with all that SageMaker would refuse.
        """
        self._require_small_parts()
        create_model, create_job = self._model(name, prefix, model), self._job(name, prefix)
        service = self._sagemaker.meta.service_model
        problems = [
            *find_problems(service, "CreateTransformJob", {**create_job, "TransformJobName": name}),
            *find_problems(service, "CreateModel", create_model),
        ]
        if problems:
            raise StepFailed(listed(problems))
        self._upload_model(prefix, model.code)
        self._models.require(create_model)
        return create_job

    def remove_model(self, name: str) -> None:
        """Remove the model of a job that has ended. That it stays does no harm."""
        self._models.remove(name)

    @cached_property
    def parts(self) -> Mapping[str, PublishedFile]:
        """The batch's parts in the order of its rows, by name below its folder `rows`, as ingest has published them."""
        files = read_manifest(self._lake, self._rows).files
        return {name.removeprefix(ROWS): file for name, file in sorted(files.items()) if name.startswith(ROWS)}

    @property
    def _rows(self) -> str:
        return self._request.inputs["rows"][0]

    def _require_small_parts(self) -> None:
        large = [
            problem(
                expected=f"parts of at most {MOST_BYTES:,} bytes, which Batch Transform takes",
                found=f"{file.size:,} in {self._rows}{ROWS}{name}",
                todo="write `scoring: {engine: job}` in the spec",
            )
            for name, file in self.parts.items()
            if file.size > MOST_BYTES
        ]
        if large:
            raise StepFailed(listed(large))

    def _model(self, name: str, prefix: str, model: JobModel) -> dict[str, Any]:
        options = self._options
        network = {"Subnets": options.subnets, "SecurityGroupIds": options.security_groups}
        return {
            "ModelName": name,
            "PrimaryContainer": {
                "Image": model.image,
                "ModelDataUrl": self._lake.uri(prefix + BUNDLE),
                "Environment": {
                    "SAGEMAKER_SERVING_MODULE": SERVER,
                    "PYTHONPATH": f"{ROOT}/model/{CODE_FOLDER}",
                    "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(_ANSWER_SECONDS),
                    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",  # a request uses all cores
                },
            },
            "ExecutionRoleArn": model.role,
            "EnableNetworkIsolation": True,
            **({"VpcConfig": network} if options.subnets else {}),
            "Tags": [{"Key": STACK_TAG, "Value": model.stack}, *_tags(options)],
        }

    def _job(self, name: str, prefix: str) -> dict[str, Any]:
        options, request = self._options, self._request
        largest = max(file.size for file in self.parts.values())
        asked = {
            **request.parameters,
            "version": request.version,
            "threads": request.threads,
            "xgboost": expected_xgboost(),
        }
        rows = {"S3DataType": "S3Prefix", "S3Uri": self._lake.uri(self._rows + ROWS)}
        return {
            "ModelName": name,
            "Environment": to_variables(restrict_dataset(request.dataset, request.step), asked),
            "TransformInput": {
                "DataSource": {"S3DataSource": rows},
                "ContentType": PARQUET,
                "SplitType": "None",
                "CompressionType": "None",
            },
            "TransformOutput": {
                "S3OutputPath": self._lake.uri(prefix + RESULT),
                "Accept": PARQUET,
                "AssembleWith": "None",
                **({"KmsKeyId": options.kms_key} if options.kms_key else {}),
            },
            "TransformResources": {
                "InstanceType": options.instances[0],
                "InstanceCount": 1,
                **({"VolumeKmsKeyId": options.kms_key} if options.kms_key else {}),
            },
            "BatchStrategy": "SingleRecord",
            "MaxConcurrentTransforms": 1,
            "MaxPayloadInMB": max(1, -(-largest // _MEGABYTE)),
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": _ANSWER_SECONDS, "InvocationsMaxRetries": 1},
            "Tags": _tags(options),
        }

    def _upload_model(self, prefix: str, code: Path) -> None:
        """Put the bundle with the code of a project into one archive below a prefix, by way of the disk."""
        (bundle,) = [key for key in self._bundle_keys() if key.endswith(f"/{BUNDLE}")]
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            packed, archive = Path(folder) / BUNDLE, Path(folder) / "archive"
            with self._lake.open(bundle) as source, packed.open("wb") as target:
                copyfileobj(source, target, _MEGABYTE)
            pack_model(packed, code, archive)
            self._lake.put(prefix + BUNDLE, archive)

    def _bundle_keys(self) -> list[str]:
        return [entry.key for entry in self._lake.entries(self._request.inputs["bundle"][0])]

    # What has come out

    def read_parts(self, prefix: str) -> Sequence[ScoredPart] | None:
        """Return what is known of each part's predictions, or None unless each part that ingest published was scored, whole and for this version.

        A job that has completed writes no more: its footers are read once.
        """
        if prefix in self._scored:
            return self._scored[prefix]
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            found = list(pool.map(lambda name: self._read_part(f"{prefix}{name}{ENDING}"), self.parts))
        scored = [part for part in found if part is not None]
        ours = len(scored) == len(self.parts) and all(
            part.version == self._request.version and part.source == file.digest and part.rows == file.rows
            for part, file in zip(scored, self.parts.values(), strict=True)
        )
        if ours:
            self._scored[prefix] = scored
        return scored if ours else None

    def _read_part(self, key: str) -> ScoredPart | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._lake.open(key) as stream:
                metadata = pq.read_metadata(stream)
            part = ScoredPart.from_footer(metadata.metadata)
        except (NotInLake, ReportError, pa.ArrowException):
            return None
        return part if part.written == metadata.num_rows else None

    def take_over(self, prefix: str) -> StepReport:
        """Copy the predictions of all parts to the version's prefix within S3, and write their report last. Each is read once, for its digest."""
        parts = self.read_parts(prefix)
        if parts is None:
            raise StepFailed(
                problem(
                    expected=f"the predictions of all parts below {prefix}", found="not all", todo="run the job again"
                )
            )
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            files = dict(pool.map(lambda name: self._take_over_part(prefix, name), self.parts))
        for file, part in zip(files, parts, strict=True):
            files[file] = PublishedFile(files[file].size, files[file].digest, part.written)
        report = StepReport.of(self._request.step, report_parts(parts), files)
        self._lake.put(self._request.output + REPORT, report.to_json())
        return report

    def _take_over_part(self, prefix: str, name: str) -> tuple[str, PublishedFile]:
        source, target = f"{prefix}{name}{ENDING}", PREDICTIONS + name
        (entry,) = self._lake.list(source, limit=1)
        digest = digest_object(self._lake, source)
        self._lake.copy_object(entry, self._request.output + target)
        return target, PublishedFile(entry.size, digest)


def pack_model(bundle: Path, code: Path, archive: Path) -> None:
    """Write an archive of a bundle beside the sources of `churn_model`: the same bytes for the same contents. SageMaker unpacks it."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as members,
    ):
        for name, path in [(BUNDLE, bundle), *_sources(code)]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                members.addfile(member, stream)


def _sources(code: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((code / "churn_model").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{CODE_FOLDER}/{path.relative_to(code).as_posix()}", path


def _tags(options: JobOptions) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in options.tags.items()]
