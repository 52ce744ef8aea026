"""Measures the engines, one row a measurement, each beside what it is compared with in the same run.

Every module ``benchmarks/engine_<name>.py`` offers ``rows() -> Iterator[Row]``; a row is a rate or a time, and a ratio to the floor or
ceiling that issue and documentation promise, or to another tool on PATH. Nothing here is a timed test.

    python benchmarks/engines.py                 every engine
    python benchmarks/engines.py network access  some of them
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent


class Row(NamedTuple):
    """One measurement: what was done, the value with its unit, and what it is held against (``""``: nothing)."""

    what: str
    value: float
    unit: str
    against: str = ""


def main() -> int:
    engines = sorted(path.stem.removeprefix("engine_") for path in HERE.glob("engine_*.py"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", nargs="*", metavar="ENGINE", help=f"which to measure (default: all of {', '.join(engines)})")
    options = parser.parse_args()
    unknown = sorted(set(options.engine) - set(engines))
    if unknown:
        parser.error(f"there is no engine {', '.join(unknown)}: there are {', '.join(engines)}")
    sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]
    for name in options.engine or engines:
        rows: Iterator[Row] = importlib.import_module(f"engine_{name}").rows()
        for row in rows:
            print(f"{name:10} {row.what:70} {row.value:>14,.2f} {row.unit:12} {row.against}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
