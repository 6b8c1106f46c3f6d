"""How long each function takes to import from the built artefact, over the floor: boto3 and one ECS client.

    tidegate local up && python -m tests.bench.cold_imports

A ratio, because absolute times are not stable on shared machines: both sides are measured in turn, in fresh
interpreters, and their medians compared. "with its clients" adds what the first event of a function brings along:
its ports and the clients of DynamoDB, and of ECS where it uses that.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 9
FUNCTIONS = {
    "plan_release": ("dynamodb", "ecs"),
    "lock": ("dynamodb",),
    "roll_service": ("dynamodb", "ecs"),
    "record": ("dynamodb", "ecs"),
    "wake": ("dynamodb", "ecs"),
    "sweep": ("dynamodb",),
}
FLOOR = "import boto3; boto3.client('ecs', region_name='us-east-1')"


def main() -> int:
    builds = sorted(
        (ROOT / ".aws-sam" / "local" / "builds").glob("*/template.yaml"), key=lambda p: p.stat().st_mtime
    )
    if not builds:
        sys.stderr.write("there is no build yet: tidegate local up\n")
        return 1
    build = builds[-1].parent
    cases = {"floor": (FLOOR, None)}
    for name, clients in FUNCTIONS.items():
        cases[name] = ("import app", _folder(build, name))
        opened = "; ".join(f"c.client('{client}')" for client in clients)
        with_clients = (
            f"import app; from tidegate.adapters.clients import Clients; c = Clients('us-east-1'); {opened}"
        )
        cases[f"{name} with its clients"] = (with_clients, _folder(build, name))
    taken: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(ROUNDS):
        for case, (statement, folder) in cases.items():
            taken[case].append(_seconds(statement, folder, build))
    floor = statistics.median(taken["floor"])
    sys.stdout.write(f"floor: {floor * 1000:.0f} ms\n")
    for case in list(cases)[1:]:
        sys.stdout.write(f"{case:32} {statistics.median(taken[case]) / floor:.2f}\n")
    return 0


def _folder(build: Path, name: str) -> Path:
    return build / f"{''.join(word.title() for word in name.split('_'))}Function"


def _seconds(statement: str, folder: Path | None, build: Path) -> float:
    path = [str(build / "CoreLayer" / "python"), *([str(folder)] if folder else [])]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path if folder else []),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(folder or build),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TIDEGATE_TABLE": "tidegate",
    }
    timed = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    ended = subprocess.run(
        [sys.executable, "-c", timed], env=environment, capture_output=True, text=True, check=True
    )
    return float(ended.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
