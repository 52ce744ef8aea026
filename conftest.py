"""Options and hooks of the suite; nothing here knows what is checked."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.flux.workspace import kubernetes_version
from harness.report.cases import Checks, Family, KnownItem, all_visible, collect, count, held, run
from harness.report.terminal import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.compliance.verdict import Verdict

TIERS = ("unit", "static", "e2e")
#: As for the commands: 0 clean, 1 findings, 2 could not check.
COULD_NOT_CHECK = 2
VERDICT = pytest.StashKey["Verdict"]()
COUNTED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("plimsoll", "the repository to prove")
    group.addoption("--repo", type=Path, default=Path(__file__).parent, metavar="PATH", help="the Flux repository to look at (default: this one)")
    group.addoption("--cluster", action="append", default=[], metavar="NAME", help="look at this cluster only; may be given several times")
    group.addoption("--charts", type=Path, metavar="DIR", help="folder of chart packages <name>-<version>.tgz (default: $PLIMSOLL_CHARTS)")
    group.addoption("--pull", action="store_true", help="fetch charts that are nowhere at hand from their registries")
    group.addoption(
        "--kubernetes-version",
        type=kubernetes_version,
        metavar="VERSION",
        help="check against this version (default: the cluster's variable KUBERNETES_VERSION)",
    )
    group.addoption("--no-render-cache", action="store_true", help="render everything again")
    group.addoption("--ledger", action="store_true", help="list every subject that was not evaluated, not only counts")
    group.addoption("--kubeconform", action="store_true", help="ask kubeconform for a second opinion on every rendered object")


def pytest_configure(config: pytest.Config) -> None:
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: set by the folder the test lives in")
    if find_spec("hypothesis"):
        from hypothesis import settings

        # A shared machine's pauses are no property of the code; what is found is replayed from the printed example.
        settings.register_profile("suite", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
        settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Build and check before anything is collected: what prevents it is then said once, and ends the run."""
    cases = Path(__file__).parent / "tests" / "static"
    asked = [Path(session.config.invocation_params.dir, argument.partition("::")[0]) for argument in session.config.args]
    if any(path.is_relative_to(cases) or cases.is_relative_to(path) for path in asked):
        _verdict(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module, name: str, obj: object) -> list[KnownItem] | None:
    if not isinstance(obj, Family | Checks):
        return None
    config, verdict = collector.config, _verdict(collector.config)
    visible = all_visible(config)
    if not visible:
        config.stash[COUNTED] = config.stash.get(COUNTED, 0) + held(obj, verdict)
    return collect(collector, name, obj, verdict, clean=visible)


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    root = Path(__file__).parent / "tests"
    for item in items:
        tier = item.path.relative_to(root).parts[0] if item.path.is_relative_to(root) else ""
        if tier not in TIERS:
            raise pytest.UsageError(f"{item.nodeid}: tests live in tests/{{{','.join(TIERS)}}}")
        if not isinstance(item, KnownItem):
            item.add_marker(tier)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    count(session, session.config.stash.get(COUNTED, 0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if not isinstance(item, KnownItem):
        return None
    run(item)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    verdict = config.stash.get(VERDICT, None)
    if verdict is None:
        return
    terminalreporter.section("what was proven, and what was not evaluated")
    for cluster, number in verdict.objects.items():
        terminalreporter.line(f"{cluster}: {number} objects")
    for opinion in verdict.opinions:
        terminalreporter.line(f"kubeconform disagrees: {opinion}")
    lines = ledger(verdict.ledger, full=config.getoption("--ledger"))
    for line in lines:
        terminalreporter.line(f"not evaluated: {line}")


def _verdict(config: pytest.Config) -> Verdict:
    """Build and check everything once, when the first family is collected."""
    if VERDICT not in config.stash:
        from harness.engines.kubeconform import KubeconformError
        from harness.flux.tools import ToolError
        from harness.flux.workspace import Options, Workspace
        from harness.suite import prove

        charts = config.getoption("--charts") or os.environ.get("PLIMSOLL_CHARTS")
        options = Options(
            charts=Path(charts) if charts else None,
            pull=config.getoption("--pull"),
            cache=not config.getoption("--no-render-cache"),
            kubernetes_version=config.getoption("--kubernetes-version"),
            clusters=tuple(config.getoption("--cluster")),
        )
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        workspace = Workspace(config.getoption("--repo"), options)
        try:
            verdict = prove(workspace, progress=lambda message: _tell(reporter, message), second_opinion=config.getoption("--kubeconform"))
        except (KubeconformError, ToolError) as error:
            pytest.exit(f"could not check: {error}", returncode=COULD_NOT_CHECK)
        if not verdict.objects:
            known = ", ".join(root.name for root in workspace.clusters) or "none"
            pytest.exit(f"could not check: no cluster to look at in {workspace.root}: found {known}", returncode=COULD_NOT_CHECK)
        config.stash[VERDICT] = verdict
    return config.stash[VERDICT]


def _tell(reporter: pytest.TerminalReporter | None, message: str) -> None:
    if reporter is not None and reporter.isatty:
        reporter.rewrite(message, erase=True)
