"""The limits of a request, checked before the first call: a job that breaks one fails minutes later, or is refused with one problem at a time.

Botocore's own model of the service holds names, lengths, patterns, enums and counts. Botocore checks required fields, types and minimums only.
What the documentation says beyond the model is in `_RULES`.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from churn_model.errors import listed, problem
from resources.errors import StepFailed

_MOST_SHOWN = 60
_TODO = "correct the setting or the spec that it comes from; nothing has been started"
# Classes of characters that Java's patterns name and Python's do not.
_CLASSES = {
    "L": "a-zA-Z\u00aa-\U0010ffff",
    "M": "\u0300-\u036f",
    "Z": " \u00a0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    "N": "0-9",
    "S": r"$+<=>\^`|~",
    "P": r"!-#%-*,\-./:;?@\[-\]_{}",
    "Alnum": "a-zA-Z0-9",
}
_ASTRAL = (r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")
# Instance types with disks of their own, for which SageMaker takes no volume size beyond theirs.
_LOCAL_DISKS = re.compile(r"ml\.(\w*\dd|\w*dn|g\d\w*|p[4-9]\w*|trn\w*)\..+")
_TRANSFORM_MEGABYTES = 100
_HYPERPARAMETER_CHARACTERS = 256  # the model says 2,500, the service's documentation 256
_TUNING_LIMITS = {"MaxNumberOfTrainingJobs": 750, "MaxParallelTrainingJobs": 100}  # of the documentation
_MODEL_VARIABLES_BYTES = 32_768  # of the documentation
_RESERVED_TAG = "aws:"


def require_within_limits(service_model: Any, operation: str, request: Mapping[str, Any]) -> None:
    """Raise StepFailed with every limit that a request breaks. `operation`: such as `CreateTrainingJob`."""
    problems = find_problems(service_model, operation, request)
    if problems:
        raise StepFailed(listed([f"{operation}: {text}" for text in problems]))


def find_problems(service_model: Any, operation: str, request: Mapping[str, Any]) -> Sequence[str]:
    """Return every limit that a request breaks, with what to do."""
    shape = service_model.operation_model(operation).input_shape
    parts = (request, *request.get("TrainingJobDefinitions", ()))
    return [*_walk(shape, request, ""), *(text for part in parts for rule in _RULES for text in rule(part))]


def _walk(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _walk_structure(shape, value, path)
    elif kind in ("list", "map") and not isinstance(value, list | tuple if kind == "list" else Mapping):
        yield problem(expected=f"a {kind} in {path}", found=_shown(value), todo=_TODO)
    elif kind == "list":
        yield from _check_size(shape, len(value), "items", path)
        for index, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{index}]")
    elif kind == "map":
        yield from _check_size(shape, len(value), "entries", path)
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path} (the name {_shown(key)})")
            yield from _walk(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _walk_text(shape, value, path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _check_number(shape, value, path)


def _walk_structure(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield problem(expected=f"fields in {path or 'the request'}", found=_shown(value), todo=_TODO)
        return
    for name in shape.required_members:
        if value.get(name) is None:
            yield problem(expected=f"{path}.{name}".lstrip("."), found="nothing", todo=_TODO)
    for name, item in value.items():
        place = f"{path}.{name}".lstrip(".")
        if name in shape.members:
            yield from _walk(shape.members[name], item, place)
        else:
            yield problem(expected=f"fields that SageMaker knows in {path or 'the request'}", found=name, todo=_TODO)


def _walk_text(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield problem(expected=f"text in {path}", found=_shown(value), todo=_TODO)
        return
    yield from _check_size(shape, len(value), "characters", path)
    if shape.enum and value not in shape.enum:
        near = [name for name in shape.enum if name.partition(".")[2][:2] == value.partition(".")[2][:2]] or shape.enum
        yield problem(expected=f"one of {', '.join(near[:8])} ... in {path}", found=_shown(value), todo=_TODO)
    pattern = shape.metadata.get("pattern")
    if pattern and not compile_pattern(pattern).fullmatch(value):
        yield problem(expected=f"{path} to match {pattern}", found=_shown(value), todo=_TODO)


def _check_size(shape: Any, size: int, unit: str, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if size < least or (most is not None and size > most):
        yield problem(expected=_between(least, most, f"{unit} in {path}"), found=f"{size:,}", todo=_TODO)


def _check_number(shape: Any, value: Any, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield problem(expected=f"a number in {path}", found=_shown(value), todo=_TODO)
    elif (least is not None and value < least) or (most is not None and value > most):
        yield problem(expected=_between(least, most, f"in {path}"), found=f"{value:,}", todo=_TODO)


def _between(least: Any, most: Any, what: str) -> str:
    if most is None:
        return f"at least {least:,} {what}"
    return f"at most {most:,} {what}" if not least else f"{least:,} to {most:,} {what}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(str(value)):,} characters)"


@functools.cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern of the service's model, which is written for Java, as Python understands it."""
    pattern = re.sub(r"\\p\{(\w+)\}", lambda found: _CLASSES[found[1]], pattern.replace(*_ASTRAL))
    return re.compile(
        pattern.replace(")${", "){")
    )  # two of the model's patterns write a count after the end of the text


def _tag_problems(request: Mapping[str, Any]) -> Iterator[str]:
    keys = [str(tag.get("Key", "")) for tag in request.get("Tags", ())]
    for key in keys:
        if key.lower().startswith(_RESERVED_TAG):
            yield problem(expected=f"tags whose names do not begin with {_RESERVED_TAG}", found=key, todo=_TODO)
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield problem(expected="each tag once", found=f"{key} twice", todo=_TODO)


def _instance_problems(request: Mapping[str, Any]) -> Iterator[str]:
    clusters = (
        request.get("ProcessingResources", {}).get("ClusterConfig", {}),
        request.get("ResourceConfig", {}),
    )
    for cluster in clusters:
        types = [
            cluster.get("InstanceType"),
            *(each["InstanceType"] for each in cluster.get("InstancePreferences", ())),
        ]
        for name in types:
            if name and cluster.get("VolumeSizeInGB") and _LOCAL_DISKS.fullmatch(name):
                yield problem(
                    expected="an instance type without local disks: with them SageMaker takes no volume size",
                    found=name,
                    todo="choose one such as ml.m5.xlarge or ml.m7i.xlarge",
                )


def _hyperparameter_problems(request: Mapping[str, Any]) -> Iterator[str]:
    for name, value in request.get("HyperParameters", {}).items():
        if isinstance(value, str) and len(value) > _HYPERPARAMETER_CHARACTERS:
            expected = f"at most {_HYPERPARAMETER_CHARACTERS} characters in HyperParameters.{name}"
            yield problem(expected=expected, found=f"{len(value):,}", todo=_TODO)


def _spot_problems(request: Mapping[str, Any]) -> Iterator[str]:
    if not request.get("EnableManagedSpotTraining"):
        return
    if not request.get("CheckpointConfig"):
        yield problem(
            expected="checkpoints for a job on spot instances",
            found="none",
            todo="without them each interruption starts it anew",
        )
    if request.get("ResourceConfig", {}).get("InstancePreferences"):
        yield problem(
            expected="one instance type for a job on spot instances",
            found="several in order of preference",
            todo="name one in `training_instances`",
        )
    if request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        yield problem(
            expected="a job on spot instances that keeps none of them warm",
            found=f"KeepAlivePeriodInSeconds {request['ResourceConfig']['KeepAlivePeriodInSeconds']:,}",
            todo="choose `spot` or `keep_alive_minutes`: others take a spot instance when it is free",
        )
    times = request.get("StoppingCondition", {})
    if times.get("MaxWaitTimeInSeconds", 0) < times.get("MaxRuntimeInSeconds", 0):
        yield problem(
            expected=f"a MaxWaitTimeInSeconds of at least {times.get('MaxRuntimeInSeconds'):,}, the longest run",
            found=f"{times.get('MaxWaitTimeInSeconds', 'none')}",
            todo="raise `spot_hours`: it holds `hours` and the time of waiting",
        )


def _transform_problems(request: Mapping[str, Any]) -> Iterator[str]:
    payload, at_once = request.get("MaxPayloadInMB", 6), request.get("MaxConcurrentTransforms", 1)
    if "TransformInput" in request and payload * at_once > _TRANSFORM_MEGABYTES:
        expected = f"MaxPayloadInMB x MaxConcurrentTransforms of at most {_TRANSFORM_MEGABYTES}"
        yield problem(expected=expected, found=f"{payload} x {at_once}", todo=_TODO)
    if request.get("BatchStrategy") == "MultiRecord" and request["TransformInput"].get("SplitType", "None") == "None":
        yield problem(expected="a SplitType for MultiRecord", found="none", todo=_TODO)


def _tuning_problems(request: Mapping[str, Any]) -> Iterator[str]:
    limits = request.get("HyperParameterTuningJobConfig", {}).get("ResourceLimits", {})
    for name, most in _TUNING_LIMITS.items():
        if limits.get(name, 0) > most:
            yield problem(expected=f"{name} of at most {most}", found=f"{limits[name]:,}", todo=_TODO)


def _model_problems(request: Mapping[str, Any]) -> Iterator[str]:
    variables = request.get("PrimaryContainer", {}).get("Environment", {})
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > _MODEL_VARIABLES_BYTES:
        expected = f"at most {_MODEL_VARIABLES_BYTES:,} bytes of names and values in Environment, which holds the spec"
        yield problem(expected=expected, found=f"{size:,}", todo="shorten `words`, `groups` or `types` in the spec")


_RULES = (
    _tag_problems,
    _instance_problems,
    _hyperparameter_problems,
    _spot_problems,
    _transform_problems,
    _tuning_problems,
    _model_problems,
)
