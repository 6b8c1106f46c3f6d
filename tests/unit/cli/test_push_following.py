"""A push that is followed: how it ends, and when nothing comes of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from tidegate.domain.build import Build, BuildOutcome
from tidegate.domain.outcome import Outcome
from tidegate.ledger.builds import BuildLedger
from tidegate_cli.failures import CommandError
from tidegate_cli.options import Given
from tidegate_cli.push_following import ARRIVAL_SECONDS, Chain, PushFollower
from tidegate_cli.rendering.chain import ChainOnScreen

from tests.support.clock import iso
from tests.unit.steps.conftest import SYSTEM, Shop

COMMIT = "4f2a91c" + 33 * "0"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:tidegate-build:push"


@dataclass
class Developer:
    """Pushes to main; `paused` is how long they waited, in seconds."""

    shop: Shop
    paused: float = 0.0
    screen: io.StringIO = field(default_factory=io.StringIO)

    def follower(self) -> PushFollower:
        return PushFollower(
            self.shop.world.ports,
            SYSTEM,
            "main",
            ChainOnScreen(Console(file=self.screen), live=False),
            Given(local=True).command,
            pause=self._pause,
            monotonic=lambda: self.paused,
        )

    def recorded(self, identity: str, ref: str = "refs/heads/main") -> None:
        """A build of the commit that has ended without work."""
        world = self.shop.world
        build = Build(identity, SYSTEM, COMMIT, f"{ARN}-{identity}", iso(world.clock.now()), ref)
        ledger = BuildLedger(world.ports.store, world.ports.clock)
        ledger.record(build, {}, "asked for", BuildOutcome.NO_CHANGE, "nothing to build")

    def _pause(self, seconds: float) -> None:
        self.paused += seconds


@pytest.fixture
def developer() -> Developer:
    return Developer(Shop())


def test_the_build_of_the_pushed_branch_is_followed(developer: Developer) -> None:
    developer.recorded("01AAAAAAAAAAAAAAAAAAAAAAAA")
    follower = developer.follower()
    developer.recorded("01BBBBBBBBBBBBBBBBBBBBBBBB")
    developer.recorded("01CCCCCCCCCCCCCCCCCCCCCCCC", "refs/heads/other")
    chain = follower.follow(COMMIT, None)
    assert chain.build["build"] == "01BBBBBBBBBBBBBBBBBBBBBBBB"
    assert (chain.deployments, chain.exit_code) == ([], 0)
    assert "nothing to build" in developer.screen.getvalue()


def test_a_push_that_starts_nothing_is_told_with_the_mend(developer: Developer) -> None:
    """An older build of the same commit is none of this push."""
    developer.recorded("01AAAAAAAAAAAAAAAAAAAAAAAA")
    with pytest.raises(CommandError) as raised:
        developer.follower().follow(COMMIT, None)
    assert (raised.value.code, raised.value.exit_code) == ("not_started", 1)
    assert raised.value.hint == f"start one: tidegate --local build {SYSTEM} --commit {COMMIT} --branch main"
    assert developer.paused == ARRIVAL_SECONDS


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_a_time_out_ends_the_wait_for_the_build(developer: Developer, seconds: float) -> None:
    with pytest.raises(CommandError) as raised:
        developer.follower().follow(COMMIT, seconds)
    assert (raised.value.code, raised.value.exit_code) == ("timeout", 124)
    assert developer.paused == seconds


@pytest.mark.parametrize(
    ("build", "deployments", "code"),
    [
        (BuildOutcome.BUILT, [Outcome.SUCCEEDED, Outcome.NO_CHANGE], 0),
        (BuildOutcome.BUILT, [Outcome.SUCCEEDED, Outcome.FAILED_CLEAN], 10),
        (BuildOutcome.BUILT, [Outcome.FAILED_CLEAN, Outcome.FAILED_DIRTY, Outcome.REFUSED], 20),
        (BuildOutcome.BUILT, [Outcome.SUPERSEDED, Outcome.REFUSED], 30),
        (BuildOutcome.BUILT, [Outcome.SUPERSEDED], 40),
        (BuildOutcome.NO_CHANGE, [], 0),
        (BuildOutcome.FAILED, [], 10),
        (BuildOutcome.REFUSED, [], 30),
    ],
)
def test_the_exit_code_is_that_of_what_ended_worst(
    build: BuildOutcome, deployments: list[Outcome], code: int
) -> None:
    chain = Chain({"outcome": build.value}, [{"outcome": outcome.value} for outcome in deployments])
    assert chain.exit_code == code


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_of_a_deployment_gives_its_own_code(outcome: Outcome) -> None:
    assert Chain({"outcome": "Built"}, [{"outcome": outcome.value}]).exit_code == outcome.exit_code
