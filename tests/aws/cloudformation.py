"""What moto lacks of what `churn deploy`, `churn doctor` and `churn destroy` ask for.

Its CloudFormation makes no Glue databases and no Athena workgroups, forgets the outputs of a change set, deletes what is to be kept, and gives a
key a policy that its KMS cannot read. It knows no quotas of SageMaker.
"""

import json
from typing import Any

import boto3
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.kms.models import kms_backends
from moto.servicequotas.responses import ServiceQuotasResponse

_SPARES = "RetainExceptOnCreate"
_QUOTAS = {"ml.m5.xlarge for processing job usage": 4, "ml.m5.xlarge for training job usage": 2}


class _Named:
    """A resource that has nothing but a name, which other resources do not refer to."""

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name


class _Database(_Named, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Glue::Database"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> "_Database":
        made = cloudformation_json["Properties"]["DatabaseInput"]
        boto3.client("glue", region_name=region_name).create_database(DatabaseInput=made)
        return cls(made["Name"])

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        boto3.client("glue", region_name=region_name).delete_database(Name=resource_name)


class _Workgroup(_Named, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Athena::WorkGroup"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> "_Workgroup":
        made = cloudformation_json["Properties"]
        athena = boto3.client("athena", region_name=region_name)
        athena.create_work_group(Name=made["Name"], Configuration=made["WorkGroupConfiguration"])
        return cls(made["Name"])

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        athena = boto3.client("athena", region_name=region_name)
        athena.delete_work_group(WorkGroup=resource_name, RecursiveDeleteOption=True)


def _list_quotas(_self: ServiceQuotasResponse) -> str:
    return json.dumps({"Quotas": [{"QuotaName": name, "Value": value} for name, value in _QUOTAS.items()]})


def install() -> None:
    """Let moto make and delete what the template asks for, as far as anything here looks at it, and answer for its quotas."""
    for known in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        known.cache_clear()
    apply, delete = ChangeSet.apply, parsing.ResourceMap.delete

    def apply_and_output(self: ChangeSet) -> None:
        apply(self)
        for key in kms_backends[self.stack.account_id][self.stack.region_name].keys.values():
            key.policy = key.policy if isinstance(key.policy, str) else json.dumps(key.policy)
        self.stack.output_map = parsing.OutputMap(self.stack.resource_map, self.template_dict, self.stack.stack_id)

    def delete_but_spare(self: parsing.ResourceMap) -> None:
        for each in self._resource_json_map.values():
            if each.get("DeletionPolicy") == _SPARES:
                each["DeletionPolicy"] = "Retain"
        delete(self)

    if apply.__module__ != __name__:
        setattr(ServiceQuotasResponse, "list_service_quotas", _list_quotas)  # noqa: B010 -- a method is added
        setattr(ChangeSet, "apply", apply_and_output)  # noqa: B010 -- a method is replaced
        setattr(parsing.ResourceMap, "delete", delete_but_spare)  # noqa: B010 -- a method is replaced
