"""What pytest needs for the live tier: options, fixtures, the report. Imported by ``tests/e2e/conftest.py`` alone.

pytest-kind brings ``--cluster-name``, ``--keep-cluster``, ``--kubeconfig``, ``--kind-image``, ``--kind-bin`` and ``--kind-kubectl-bin``; the options here go
with them. What prevents the tier from running is said in one line and ends the run with code 2: it never passes by not running.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.flux.workspace import Options, Workspace
from harness.live.account import Account, Span
from harness.live.bootstrap.base import BootstrapError, Journal
from harness.live.bringup import PHASES, Choice, Platform, Times, bring_up, chains_of, container_of, left_out
from harness.live.diagnose import bundle
from harness.live.findings import LiveError, NotEvaluatedError, properties
from harness.live.ground import cluster as live
from harness.live.ground.beside import host_of
from harness.live.ground.facts import FactsError
from harness.live.ground.kindconfig import OptionError
from harness.live.ground.memory import Peak, held
from harness.live.ground.oci import RegistryError
from harness.live.ground.overlay import OverlayError
from harness.live.ground.tree import provenance
from harness.live.proofs import EACH, MARKER, Proofs, check_arguments, terms_of
from harness.live.reach.api import serving
from harness.live.reach.run import RunError
from harness.live.reach.wait import WaitError
from harness.live.reach.web import WebError
from harness.model import NotEvaluated
from harness.report.terminal import block, ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from harness.flux.world import World
    from harness.live.reach.kubectl import Kubectl

#: As for the other tiers: 0 clean, 1 findings, 2 could not check.
COULD_NOT_CHECK: Final = 2
_CLUSTER: Final = "kind"
_NAME: Final = "plimsoll"
#: Proofs at the same time: most of each is waiting.
_AT_ONCE: Final = 6
#: Seconds between two lines of progress in a log.
_MINUTE: Final = 60.0
#: Characters of a line of progress.
_WIDTH: Final = 110
_ALONE: Final = "the live tier runs by itself: pytest tests/e2e"
_REPORTS: Final = Path("reports", "e2e")
_PREVENTED: Final = (live.CannotRunError, OptionError, OverlayError, FactsError, RegistryError, BootstrapError)

CLUSTER: Final = pytest.StashKey[live.Cluster]()
WORLD: Final = pytest.StashKey["tuple[Workspace, World]"]()
PLATFORM: Final = pytest.StashKey[Platform]()
ENTRIES: Final = pytest.StashKey[list[NotEvaluated]]()
BUNDLE: Final = pytest.StashKey[Path]()
SAID: Final = pytest.StashKey[BaseException]()
TIMES: Final = pytest.StashKey[Times]()
MEMORY: Final = pytest.StashKey[int]()
RESULTS: Final = pytest.StashKey[list[Span]]()
SHOWN: Final = pytest.StashKey[float]()
PROOFS: Final = pytest.StashKey[Proofs]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("live", "the live tier")
    group.addoption("--workers", type=int, default=0, metavar="N", help="worker nodes besides the control plane (default: none)")
    group.addoption("--registry-mirror", metavar="URL", help="a registry that nodes ask first for every image, whatever its host: http://HOST:PORT")
    group.addoption("--registry-image", metavar="IMAGE", help="the image of the registry beside the cluster (default: registry:3.0.0)")
    group.addoption(
        "--i-know-this-is", metavar="CONTEXT", help="look at the cluster of --kubeconfig although this context is not kind's; nothing is applied to it"
    )
    group.addoption(
        "--only", action="append", default=[], metavar="SYSTEM", help="bring up these Kustomizations and what they need; may be given several times"
    )
    group.addoption(
        "--without", action="append", default=[], metavar="SYSTEM", help="leave these Kustomizations, and what waits for them, out; may be repeated"
    )
    group.addoption("--phase", choices=PHASES, default=PHASES[-1], help="stop after this phase of bringing the platform up (default: %(default)s)")
    group.addoption("--fast", action="store_true", help="leave out the proofs that take long: chaos, upgrade, and faults that alerts see late")
    group.addoption("--upgrade-from", default="", metavar="COMMIT", help="the commit that the upgrade starts from (default: the merge base with the trunk)")
    group.addoption("--at-once", type=int, default=_AT_ONCE, metavar="N", help="how many proofs may run at the same time (default: %(default)s)")
    group.addoption("--seed", type=int, metavar="N", help="what random samples start from, as the report of a run names it (default: the day)")
    group.addoption("--ready-timeout", type=float, default=1500, metavar="SECONDS", help="how long Flux may take to be ready (default: %(default)s)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ENTRIES], config.stash[RESULTS], config.stash[TIMES] = [], [], Times()
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", EACH)
    # The other tiers run without a network; this one is about it.
    config.option.force_enable_socket = True


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Find out, before anything is collected, whether the tier can run here at all."""
    config = session.config
    try:
        config.stash[WORLD] = _world(config)
        if not config.option.collectonly:
            config.stash[CLUSTER] = _cluster(config)
    except _PREVENTED as error:
        pytest.exit(f"could not check: {error}", returncode=COULD_NOT_CHECK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each object that Flux reconciles in this run, named as ``flux tree`` names it. What is left out stands in the ledger.

    The marker ``each`` gives one for each thing that a function finds in the cluster's build.
    """
    if "reconciled" in metafunc.fixturenames:
        world = metafunc.config.stash[WORLD][1]
        out = left_out(world, _choice(metafunc.config))
        kept = [key for key, chain in chains_of(world).items() if not chain & out]
        metafunc.parametrize("reconciled", sorted(kept), ids=str)
    for mark in metafunc.definition.iter_markers("each"):
        for name, cases in mark.kwargs.items():
            found = cases(metafunc.config.stash[WORLD][1])
            metafunc.parametrize(name, list(found.values()), ids=list(found))


def pytest_pycollect_makemodule(parent: pytest.Collector) -> None:
    """Where this file was met too late, the tier's options were not there when the command line was read."""
    if WORLD not in parent.config.stash:
        pytest.exit(f"could not check: {_ALONE}", returncode=COULD_NOT_CHECK)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    own = Path(__file__).parents[2] / "e2e"
    if config.option.at_once < 1:
        raise pytest.UsageError("--at-once: at least one proof must be able to run")
    for item in items:
        if item.path.is_relative_to(own) and isinstance(item, pytest.Function):
            terms_of(item)
            check_arguments(item)
            # Each proof has its own limit, which counts from when it starts; nobody knows how long it waits for others.
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[live.Cluster]:
    """The kind cluster, made by pytest-kind's fixture as this tier's options say."""
    known = request.config.stash[CLUSTER]
    with request.config.stash[TIMES].phase("cluster"):
        request.getfixturevalue("kind_cluster")
    with serving(known.kubectl) as api:
        known.connected(api)
        yield known


@pytest.fixture(scope="session")
def kubectl(cluster: live.Cluster) -> Kubectl:
    """kubectl with the cluster's kubeconfig."""
    return cluster.kubectl


@pytest.fixture(scope="session", autouse=True)
def platform(cluster: live.Cluster, request: pytest.FixtureRequest, record_testsuite_property: Callable[[str, object], None]) -> Iterator[Platform]:
    """The platform as far as ``--phase`` brings it up; what waits for Flux has waited. What of it is not ready is told by the tests."""
    config = request.config
    workspace, world = config.stash[WORLD]
    choice = _choice(config)
    beside = None if cluster.foreign else container_of(cluster, host_of(world), choice)
    found = config.stash[PLATFORM] = Platform(
        cluster, world, workspace, journal=Journal(lambda text: _tell(config, text)), entries=config.stash[ENTRIES], times=config.stash[TIMES]
    )
    peak = Peak(lambda: held(cluster, cluster.nodes()))
    peak.start()
    if config.option.seed is not None:
        found.seed = config.option.seed
    found.notes.append(f"random samples start from --seed {found.seed}")
    try:
        bring_up(found, choice, tell=lambda text: _tell(config, text))
        config.stash[ENTRIES] += found.overlay.not_evaluated if found.overlay is not None else []
        if found.failure:
            _leave_bundle(config, found.failure)
        proofs = config.stash[PROOFS] = Proofs(request.session.items, found, at_once=config.option.at_once, fast=config.option.fast)
        proofs.jobs.start()
        yield found
    finally:
        if PROOFS in config.stash:
            for name in config.stash[PROOFS].jobs.close():
                _tell(config, f"{name} has not ended: what it broke may still be broken")
        found.forwards.close()
        config.stash[MEMORY] = peak.stop()
        for entry in config.stash[ENTRIES]:
            record_testsuite_property("not evaluated", f"{entry.subject}: {entry.what}: {entry.why}")
        account = _account(config)
        _write(config, account)
        for line in (*(found.overlay.changed if found.overlay is not None else ()), *account.lines()):
            record_testsuite_property("live", line)
        for note in found.notes:
            record_testsuite_property("note", note)
        for seen in found.reds:
            record_testsuite_property("red proof", str(seen))
        if beside is not None and not cluster.wanted.keep:
            beside.down()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """The test runs already, on a thread: wait for what it says."""
    config = pyfuncitem.config
    if PROOFS not in config.stash or not config.stash[PROOFS].has(pyfuncitem):
        return None
    proofs = config.stash[PROOFS]
    proofs.result(pyfuncitem, lambda running: _live(config, f"{proofs.jobs.left} proofs left, {len(running)} run: {', '.join(running)}"))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn findings into blocks and properties, what was not evaluated into skips with a reason, and leave a bundle at the first failure."""
    report = yield
    config = item.config
    if call.when == "call" and PROOFS in config.stash and config.stash[PROOFS].has(item):
        # Not how long the session waited for it, which depends on what else ran.
        job = config.stash[PROOFS].job(item)
        report.duration = job.seconds
        began = config.stash[TIMES].began
        config.stash[RESULTS].append(Span(job.name, job.started - began if job.started else 0.0, job.seconds, _result(call.excinfo)))
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, NotEvaluatedError):
        config.stash[ENTRIES].append(error.entry)
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, str(error))
    elif isinstance(error, LiveError):
        report.longrepr = "\n\n".join(block(finding) for finding in error.findings)
        # JUnit's writer takes them from the report of the end of the test.
        item.user_properties += list(properties(error))
    elif isinstance(error, (*_PREVENTED, RunError, WaitError, WebError)):
        # Tracebacks of the harness say nothing that the text does not. What a fixture raised is raised again for every test that needs it: said once is enough.
        said = config.stash.get(SAID, None)
        text = str(error)
        report.longrepr = f"as before: {text.splitlines()[0]}" if said is error else f"{type(error).__name__.removesuffix('Error')}: {text}"
        config.stash[SAID] = error
    if report.failed and BUNDLE not in config.stash:
        _leave_bundle(config, report.longreprtext)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which nothing was evaluated has checked nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and session.config.stash[ENTRIES] and reporter is not None and not reporter.stats.get("passed"):
        session.exitstatus = COULD_NOT_CHECK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    platform = config.stash.get(PLATFORM, None)
    terminalreporter.section("the live tier: what ran, and what was not evaluated")
    if platform is not None and platform.overlay is not None:
        for line in platform.overlay.changed:
            terminalreporter.line(f"overlay: {line}")
    account = _account(config)
    for line in account.lines():
        terminalreporter.line(f"time: {line}")
    for note in account.notes:
        terminalreporter.line(f"note: {note}")
    for seen in account.reds:
        terminalreporter.line(f"red: {seen}")
    entries: list[NotEvaluated] = config.stash[ENTRIES]
    for line in ledger(entries, full=config.getoption("--ledger")):
        terminalreporter.line(f"not evaluated: {line}")
    if BUNDLE in config.stash:
        terminalreporter.line(f"diagnostics: {config.stash[BUNDLE]}")
    known = config.stash.get(CLUSTER, None)
    if known is not None and known.wanted.keep and known.kubeconfig.is_file():
        terminalreporter.line(f"the cluster was kept: export KUBECONFIG={known.kubeconfig.resolve()}")
        terminalreporter.line(f"remove it with: {known.tools.kind} delete cluster --name {known.wanted.name} && docker rm -fv kind-registry")


def _world(config: pytest.Config) -> tuple[Workspace, World]:
    charts = config.getoption("--charts") or os.environ.get("PLIMSOLL_CHARTS")
    names = tuple(config.getoption("--cluster")) or (_CLUSTER,)
    options = Options(charts=Path(charts) if charts else None, pull=config.getoption("--pull"), cache=not config.getoption("--no-render-cache"), clusters=names)
    workspace = Workspace(config.getoption("--repo"), options)
    if len(workspace.selected) != 1:
        known = ", ".join(root.name for root in workspace.clusters) or "none"
        raise OptionError(f"the live tier runs one cluster, --cluster {' '.join(names)} selects {len(workspace.selected)}: found {known}")
    world = workspace.world(workspace.selected[0])
    # Names that are none are said now, not after ten minutes.
    left_out(world, _choice(config))
    return workspace, world


def _cluster(config: pytest.Config) -> live.Cluster:
    if find_spec("pytest_kind") is None:
        raise live.CannotRunError("the live tier needs pytest-kind: run it with nox -s e2e, or install requirements/e2e.txt")
    if not hasattr(config.option, "keep_cluster") or not hasattr(config.option, "registry_mirror"):
        raise live.CannotRunError(_ALONE)
    if config.option.cluster_name == "pytest-kind":
        config.option.cluster_name = _NAME
    wanted = live.wanted_of(config.option)
    tools = live.programs(config.option.kind_bin, config.option.kind_kubectl_bin)
    known = live.Cluster(wanted, tools, Path(".pytest-kind", wanted.name).absolute())
    if wanted.kubeconfig is not None:
        live.check_context(known.context(), wanted.trusted)
    live.adapt(known)
    return known


def _choice(config: pytest.Config) -> Choice:
    option: Any = config.option
    if not hasattr(option, "phase"):
        raise live.CannotRunError(_ALONE)
    return Choice(tuple(option.only), tuple(option.without), option.phase, option.ready_timeout, option.registry_image or "", option.upgrade_from)


def _leave_bundle(config: pytest.Config, why: str) -> None:
    known = config.stash.get(CLUSTER, None)
    if known is None or not known.kubeconfig.is_file():
        return
    platform = config.stash.get(PLATFORM, None)
    secrets = platform.sealed.plain.values() if platform is not None and platform.sealed is not None else ()
    folder = Path(config.rootpath, _REPORTS, time.strftime("%Y%m%dT%H%M%S"))
    config.stash[BUNDLE] = bundle(known.kubectl, folder, known=secrets, notes={"failure.txt": why})


def _live(config: pytest.Config, text: str) -> None:
    """Show what changes all the time: at once where it can be shown in one place, else once a minute."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    last, now = config.stash.get(SHOWN, 0.0), time.monotonic()
    if reporter is not None and (reporter.isatty or now - last >= _MINUTE):
        config.stash[SHOWN] = now
        _tell(config, text)


def _tell(config: pytest.Config, text: str) -> None:
    """Show progress now, although what tests print is kept: on one line that changes where somebody looks, as lines in a log."""
    reporter, capture = (config.pluginmanager.get_plugin(name) for name in ("terminalreporter", "capturemanager"))
    if reporter is None:
        return
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        if reporter.isatty:
            reporter.rewrite(text.splitlines()[0][:_WIDTH], erase=True)
        else:
            reporter.ensure_newline()
            reporter.write_line(text[:300])
            reporter.flush()


def _result(raised: pytest.ExceptionInfo[BaseException] | None) -> str:
    """What a proof came to, in one word."""
    if raised is None:
        return "passed"
    return "not evaluated" if isinstance(raised.value, NotEvaluatedError) else "failed"


def _account(config: pytest.Config) -> Account:
    """The account of the run so far."""
    times, platform = config.stash[TIMES], config.stash.get(PLATFORM, None)
    found = Account(phases=list(times.phases.values()), proofs=config.stash[RESULTS], wall=times.clock.now() - times.began, ledger=config.stash[ENTRIES])
    found.memory = config.stash.get(MEMORY, 0)
    if platform is not None:
        found.cluster, found.commit = platform.world.cluster.name, provenance(platform.workspace.root).revision
        found.kubernetes = platform.facts.kubernetes if platform.facts is not None else ""
        found.digest = platform.beside.tree.digest if platform.beside is not None else ""
        found.objects = {str(key): seconds for key, seconds in times.objects.items()}
        found.reds, found.notes = platform.reds, platform.notes
    return found


def _write(config: pytest.Config, account: Account) -> None:
    """Leave the account of the run beside its other reports."""
    folder = Path(config.rootpath, _REPORTS)
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("run.json").write_text(json.dumps(account.json(), indent=1) + "\n", encoding="utf-8")


def needs(platform: Platform, phase: str) -> None:
    """Raise NotEvaluatedError when a run stopped before a phase."""
    if not platform.reached(phase):
        raise NotEvaluatedError(platform.world.cluster.name, phase, f"this run stopped after {platform.phase} (--phase)")
