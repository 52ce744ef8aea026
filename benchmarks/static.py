"""Measures the static tier on the clusters of this repository and on many copies of them.

Prints a row per size and temperature: clusters, objects, cases, wall and CPU seconds (own and children's), seconds per phase, peak memory.
Each row is a fresh process, so that memory is the row's own. Cold means an empty cache folder; edited is the run after a comment was added to
one file (what objects rendered to is known, but no verdict is); warm is the run after that, over the very same files.

    python benchmarks/static.py                 x1, x10, x100
    python benchmarks/static.py --sizes 1 10    as many as wanted
    PLIMSOLL_CHARTS=DIR python benchmarks/static.py    with charts rendered instead of read from the lock

A copy is a cluster of its own: a folder of clusters/ with other names and addresses, so nothing but the charts is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100], help="how many copies of the three clusters (default: 1 10 100)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    charts = os.environ.get("PLIMSOLL_CHARTS")
    print(f"charts: {'rendered from $PLIMSOLL_CHARTS' if charts else 'from the lock'}; {os.cpu_count()} processors")
    print(f"{'size':>5} {'':6} {'clusters':>8} {'objects':>8} {'cases':>8} {'wall s':>7} {'cpu s':>7} {'peak MB':>8}  phases (wall s)")
    baseline: dict[str, float] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            tree = copy(Path(folder, "tree"), size)
            for temperature in ("cold", "edited", "warm"):
                if temperature == "edited":
                    with (tree / "clusters" / "kind" / "cluster-vars.yaml").open("a", encoding="utf-8") as file:
                        file.write("# edited\n")
                row = run(tree, Path(folder, "cache"))
                per_cluster = row["wall"] / row["clusters"]
                baseline.setdefault(temperature, per_cluster)
                phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row["phases"].items())
                print(
                    f"{'x' + str(size):>5} {temperature:6} {row['clusters']:>8} {row['objects']:>8} {row['cases']:>8} {row['wall']:>7.2f} {row['cpu']:>7.2f} "
                    f"{row['peak']:>8.0f}  {phases}; per cluster {per_cluster / baseline[temperature]:.2f} of x{options.sizes[0]}",
                    flush=True,
                )
    return 0


def copy(target: Path, size: int) -> Path:
    """A repository with the clusters of this one, ``size`` times."""
    for name in ("clusters", "policies", "tests/lock", "tests/intent", ".sourceignore"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.is_file():
            shutil.copy(source, target / name)
    originals = [path for path in sorted((target / "clusters").iterdir()) if (path / "cluster-vars.yaml").is_file()]
    for number in range(2, size + 1):
        for original in originals:
            twin = original.with_name(f"{original.name}-{number}")
            shutil.copytree(original, twin)
            for path in twin.rglob("*.yaml"):
                text = path.read_text(encoding="utf-8")
                path.write_text(
                    text.replace(f"clusters/{original.name}", f"clusters/{twin.name}").replace(f"{original.name}.example.com", f"{twin.name}.example.com")
                )
            lock = target / "tests" / "lock" / original.name
            if lock.is_dir():
                shutil.copytree(lock, lock.with_name(twin.name))
    return target


def run(tree: Path, cache: Path) -> dict[str, float]:
    """One row, in a process of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(tree)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if output.returncode:
        raise SystemExit(output.stderr)
    row: dict[str, float] = json.loads(output.stdout)
    return row


def measure(tree: Path) -> dict[str, object]:
    """Prove the tree and say what it took."""
    start = time.perf_counter()
    from harness.flux.workspace import Options, Workspace
    from harness.suite import prove

    charts = os.environ.get("PLIMSOLL_CHARTS")
    workspace = Workspace(tree, Options(charts=Path(charts) if charts else None))
    verdict = prove(workspace)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "clusters": len(verdict.objects),
        "objects": sum(verdict.objects.values()),
        "cases": len(verdict.cases),
        "wall": time.perf_counter() - start,
        "cpu": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "peak": own.ru_maxrss / 1024,
        "phases": workspace.seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
