"""The list of regions is a copy of botocore's: it must not grow old."""

from __future__ import annotations

from boto3.session import Session
from tidegate.domain.regions import REGIONS


def test_the_regions_are_those_in_which_botocore_knows_ecs() -> None:
    session = Session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ecs", partition_name=partition)
    }
    # When botocore learns of a region, this diff is what to write into domain/regions.py.
    assert list(REGIONS) == sorted(known)
