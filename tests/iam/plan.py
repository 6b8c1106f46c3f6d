"""Which scenarios to play for which permission: the likely one first, so that a run takes minutes, not hours."""

from __future__ import annotations

from tests.e2e import (
    build_scenarios,
    gate_scenarios,
    migration_scenarios,
    rare_scenarios,
    rotation_scenarios,
    scale_scenarios,
    scan_scenarios,
    webhook_scenarios,
)
from tests.e2e.scenarios import SCENARIOS
from tests.iam.permissions import Pair

LIKELY = {
    ("plan_release", "dynamodb:ConditionCheckItem"): "the_second_of_two_waits_for_the_first",
    ("plan_release", "ecs:ListTaskDefinitions"): "the_next_base_is_not_a_failed_releases",
    ("plan_release", "secretsmanager:DescribeSecret"): "a_secret_and_a_parameter_must_exist",
    ("plan_release", "ssm:DescribeParameters"): "a_secret_and_a_parameter_must_exist",
    ("plan_release", "cloudwatch:DescribeAlarms"): "an_alarm_that_rings_already_is_refused",
    ("plan_release", "ecr:DescribeImageScanFindings"): scan_scenarios.a_scan_is_asked_for.__name__,
    (
        "plan_release",
        "application-autoscaling:DescribeScalableTargets",
    ): scale_scenarios.a_service_is_scaled_and_keeps_its_count.__name__,
    ("lock", "dynamodb:DeleteItem"): "a_waiter_that_died_is_passed_over",
    ("lock", "states:DescribeExecution"): "a_stopped_run_is_reverted",
    ("roll_service", "dynamodb:DeleteItem"): "a_crash_brings_every_service_back",
    ("roll_service", "ecs:ListTasks"): "a_crash_brings_every_service_back",
    ("roll_service", "ecs:DescribeTasks"): "a_crash_brings_every_service_back",
    ("roll_service", "logs:GetLogEvents"): "a_crash_brings_every_service_back",
    ("roll_service", "states:SendTaskSuccess"): "a_crash_brings_every_service_back",
    ("roll_service", "cloudwatch:DescribeAlarms"): rare_scenarios.alarms_that_ring_are_in_the_report.__name__,
    ("record", "dynamodb:DeleteItem"): "the_second_of_two_waits_for_the_first",
    ("record", "states:SendTaskSuccess"): "the_second_of_two_waits_for_the_first",
    ("record", "states:DescribeExecution"): rare_scenarios.a_lock_handed_to_a_dead_run_passes_on.__name__,
    ("build_images", "dynamodb:DeleteItem"): build_scenarios.a_build_that_is_over_answers_at_once.__name__,
    ("build_images", "states:SendTaskSuccess"): build_scenarios.a_build_that_is_over_answers_at_once.__name__,
    ("build_images", "logs:GetLogEvents"): build_scenarios.a_push_that_does_not_build_is_reported.__name__,
    ("publish_images", "events:PutEvents"): build_scenarios.a_push_that_does_not_build_is_reported.__name__,
    ("publish_images", "dynamodb:DeleteItem"): scan_scenarios.a_scan_is_asked_for.__name__,
    ("publish_images", "ecr:DescribeImageScanFindings"): scan_scenarios.a_scan_is_asked_for.__name__,
    ("publish_images", "states:SendTaskSuccess"): scan_scenarios.a_scan_is_asked_for.__name__,
    ("wake", "ecr:DescribeImageScanFindings"): scan_scenarios.a_scan_that_ends_is_heard.__name__,
    ("wake", "codebuild:BatchGetBuilds"): build_scenarios.a_push_is_built_and_released.__name__,
    ("wake", "codebuild:BatchGetProjects"): build_scenarios.a_push_is_built_and_released.__name__,
    ("wake", "ecr:DescribeImages"): build_scenarios.a_teams_own_build_is_known_by_its_tag.__name__,
    ("wake", "logs:GetLogEvents"): build_scenarios.a_teams_own_build_that_fails_is_reported.__name__,
    ("wake", "ssm:GetParametersByPath"): "an_event_may_leave_the_environment_out",
    ("wake", "events:PutEvents"): "an_event_for_nobody_is_refused",
    ("sweep", "ecr:DescribeImageScanFindings"): scan_scenarios.a_scan_that_nobody_told_of_is_swept.__name__,
    ("sweep", "codebuild:BatchGetBuilds"): build_scenarios.a_build_event_that_is_lost.__name__,
    (
        "wake",
        "cloudwatch:DescribeAlarms",
    ): gate_scenarios.an_alarm_in_the_bake_takes_the_whole_release_back.__name__,
    ("plan_release", "events:PutEvents"): "the_second_of_two_waits_for_the_first",
    ("roll_service", "dynamodb:Query"): gate_scenarios.a_bake_without_an_alarm_ends_well.__name__,
    ("record", "cloudwatch:DescribeAlarms"): gate_scenarios.a_bake_without_an_alarm_ends_well.__name__,
    ("wake", "states:StartExecution"): gate_scenarios.an_alarm_after_a_success_rolls_back_once.__name__,
    (
        "wake",
        "ecs:DescribeTaskDefinition",
    ): gate_scenarios.a_secret_with_another_value_restarts_its_consumers.__name__,
    ("control", "dynamodb:DeleteItem"): gate_scenarios.a_freeze_holds_up_releases_and_no_rollback.__name__,
    ("control", "ssm:GetParameter"): gate_scenarios.a_freeze_holds_up_releases_and_no_rollback.__name__,
    (
        "control",
        "dynamodb:ConditionCheckItem",
    ): gate_scenarios.a_person_takes_back_what_runs_and_cannot_unlock_it.__name__,
    (
        "control",
        "states:DescribeExecution",
    ): gate_scenarios.a_person_takes_back_what_runs_and_cannot_unlock_it.__name__,
    ("sweep", "cloudwatch:DescribeAlarms"): gate_scenarios.an_alarm_that_nobody_heard_of_ends_a_bake.__name__,
    ("sweep", "states:StartExecution"): "a_stopped_run_is_reverted",
    ("sweep", "events:PutEvents"): rare_scenarios.a_run_that_dies_again_and_again_is_given_up.__name__,
}
_BY_A_TASK = migration_scenarios.a_task_migrates_before_the_first_wave.__name__
_BY_FILES = migration_scenarios.sql_files_run_before_the_first_wave.__name__
_TOO_LONG = migration_scenarios.a_migration_that_takes_too_long_is_stopped.__name__
_SNAPSHOT = migration_scenarios.a_snapshot_is_made_first.__name__
_OF_A_CLUSTER = migration_scenarios.a_snapshot_of_a_cluster_is_made_first.__name__
_UNTOLD = migration_scenarios.a_task_whose_end_nobody_told_is_swept.__name__
_SNAPSHOT_UNTOLD = migration_scenarios.a_snapshot_that_fails_lets_nothing_begin.__name__
_CLUSTER_UNTOLD = migration_scenarios.a_snapshot_of_a_cluster_that_fails_lets_nothing_begin.__name__
_FAILS = migration_scenarios.a_migration_that_fails_leaves_the_services_alone.__name__
_ENDED = migration_scenarios.a_stopped_migration_whose_task_has_ended.__name__
LIKELY |= {
    ("run_migration", "ecs:StopTask"): _TOO_LONG,
    ("run_migration", "logs:GetLogEvents"): _FAILS,
    ("run_migration", "states:SendTaskSuccess"): _ENDED,
    ("run_migration", "rds:DescribeDBInstances"): _SNAPSHOT,
    ("run_migration", "rds:DescribeDBClusters"): _OF_A_CLUSTER,
    ("run_migration", "rds:DescribeDBSnapshots"): _SNAPSHOT,
    ("run_migration", "rds:DescribeDBClusterSnapshots"): _OF_A_CLUSTER,
    ("run_migration", "rds:CreateDBSnapshot"): _SNAPSHOT,
    ("run_migration", "rds:CreateDBClusterSnapshot"): _OF_A_CLUSTER,
    ("run_migration", "rds:AddTagsToResource"): _SNAPSHOT,
    ("plan_release", "ecr:BatchGetImage"): _BY_FILES,
    ("plan_release", "ecr:GetDownloadUrlForLayer"): _BY_FILES,
    ("wake", "ecs:DescribeTasks"): _BY_A_TASK,
    ("wake", "rds:DescribeDBSnapshots"): _SNAPSHOT,
    ("wake", "rds:DescribeDBClusterSnapshots"): _OF_A_CLUSTER,
    ("sweep", "ecs:DescribeTasks"): _UNTOLD,
    ("sweep", "rds:DescribeDBSnapshots"): _SNAPSHOT_UNTOLD,
    ("sweep", "rds:DescribeDBClusterSnapshots"): _CLUSTER_UNTOLD,
}
OTHERWISE = {
    "build_images": build_scenarios.a_push_is_built_and_released.__name__,
    "publish_images": build_scenarios.a_push_is_built_and_released.__name__,
    "sweep": "a_lost_event_is_made_good_by_the_sweep",
    "control": gate_scenarios.somebody_elses_approval_lets_a_release_out.__name__,
    "run_migration": _BY_A_TASK,
    "migrate_sql": _BY_FILES,
    "smoke": gate_scenarios.a_smoke_check_that_fails_takes_the_whole_release_back.__name__,
    "webhook": webhook_scenarios.a_push_that_github_signed_is_heard.__name__,
    "rotate_secret": rotation_scenarios.a_token_is_rotated.__name__,
}
_LATE = rotation_scenarios.a_rotation_that_is_late_is_counted.__name__
LIKELY |= {
    ("plan_release", "ssm:GetParametersByPath"): rotation_scenarios.a_token_is_rotated.__name__,
    ("sweep", "ssm:GetParameter"): _LATE,
    ("sweep", "ssm:GetParametersByPath"): _LATE,
}


def order(pair: Pair) -> list[str]:
    """Every scenario, the likely one first."""
    usual = OTHERWISE.get(pair.function, "a_good_release")
    likely = LIKELY.get((pair.function, pair.action), usual)
    return list(dict.fromkeys([likely, usual, *SCENARIOS]))
