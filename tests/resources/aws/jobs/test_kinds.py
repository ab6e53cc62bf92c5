"""What is read of a job's description."""

from resources.aws.jobs.kinds import share_saved


def test_what_spot_instances_save_is_the_share_that_is_not_billed() -> None:
    description = {"EnableManagedSpotTraining": True, "BillableTimeInSeconds": 100, "TrainingTimeInSeconds": 500}
    assert share_saved(description) == 0.8
    assert share_saved({**description, "EnableManagedSpotTraining": False}) is None
    assert share_saved({"EnableManagedSpotTraining": True}) is None  # it has not run yet
