"""A Glue database and an Athena workgroup beside a lake, as the stack would make them."""

from resources.aws.lake import S3Lake
from resources.aws.queries import Athena
from resources.aws.tables import AthenaTables

DATABASE = "churn"


def make_aws_tables(lake: S3Lake, name: str = "") -> AthenaTables:
    """Create a database and a workgroup for this lake, and return the adapter. Without a name, each lake has one of its own."""
    name = name or f"{DATABASE}_{lake.bucket.replace('-', '_')}"
    lake.session.client("glue").create_database(DatabaseInput={"Name": name})
    lake.session.client("athena").create_work_group(
        Name=name,
        Configuration={
            "ResultConfiguration": {"OutputLocation": lake.uri("queries/")},
            "EnforceWorkGroupConfiguration": True,
        },
    )
    athena = Athena(session=lake.session, workgroup=name)
    return AthenaTables(session=lake.session, lake=lake, athena=athena, database=name)
