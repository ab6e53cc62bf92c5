from dataclasses import replace

import dagster as dg

from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.source import Source
from jobs.retrain import retrain_job
from jobs.schedules import retrain_schedule
from resources.local.lake import LocalLake


def asked(lake: LocalLake, dataset: Dataset) -> dg.RunRequest | dg.SkipReason:
    schedule = retrain_schedule(dataset, retrain_job(dataset))
    with dg.build_schedule_context(resources={"lake": lake}) as context:
        found = schedule(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_the_retrain_is_on_from_the_start_at_the_specs_time(dataset: Dataset) -> None:
    schedule = retrain_schedule(dataset, retrain_job(dataset))
    assert (schedule.name, schedule.default_status) == ("telco_retrain_schedule", dg.DefaultScheduleStatus.RUNNING)
    assert (schedule.cron_schedule, schedule.execution_timezone) == (
        dataset.schedule.retrain,
        dataset.schedule.timezone,
    )


def test_where_nothing_has_landed_nothing_is_asked_for(lake: LocalLake, dataset: Dataset) -> None:
    lake.put("landing/telco/train/_SUCCESS", b"")
    found = asked(lake, dataset)
    assert isinstance(found, dg.SkipReason)
    assert "Nothing has landed below landing/telco/train/ yet" in str(found.skip_message)


def test_landed_data_and_a_table_of_the_users_are_reasons_to_retrain(lake: LocalLake, dataset: Dataset) -> None:
    assert isinstance(asked(lake, replace(dataset, source=Source(table="crm.customers"))), dg.RunRequest)
    lake.put("landing/telco/train/a.csv", b"id\n1\n")
    assert isinstance(asked(lake, dataset), dg.RunRequest)
