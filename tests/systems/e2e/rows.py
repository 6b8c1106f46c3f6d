"""The table of the suite: a line for each system and environment, a column for each thing that has to work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

PROPERTY = "tidegate_cell"
"""pytest carries it from a worker of xdist to whoever prints."""
COLUMNS = (
    "cloud",
    "stack",
    "runner",
    "adopt",
    "first push",
    "migration",
    "broken",
    "rollback",
    "rotation",
    "proof",
)
FAILED = "FAILED"


@dataclass
class Row:
    """`name` is the line's; `cells` are seconds by column, or `FAILED`."""

    name: str
    cells: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def cell(self, column: str) -> Iterator[None]:
        """What fails in it stays on the table."""
        assert column in COLUMNS
        begun = time.monotonic()
        self.cells[column] = FAILED
        yield
        self.cells[column] = f"{time.monotonic() - begun:.0f} s"

    @contextmanager
    def opened(self, cloud: AbstractContextManager[T]) -> Iterator[T]:
        """A cloud that is started in the column of that name, and stopped in none."""
        with ExitStack() as stack:
            with self.cell("cloud"):
                running = stack.enter_context(cloud)
            yield running


def table(rows: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """Lines of text; what was not come to is a dash."""
    lines: list[tuple[str, ...]] = [("", *COLUMNS)]
    lines += [(name, *(cells.get(column, "-") for column in COLUMNS)) for name, cells in sorted(rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
