"""A small repository with one cluster and one release of a chart of its own, and the command as somebody would run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from harness.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYNC = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: 1m
  timeout: 30s
  url: https://git.example.com/fleet
  ref:
    branch: main
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: 10m
  retryInterval: 1m
  timeout: 5m
  prune: true
  wait: false
  path: ./clusters/one
  sourceRef:
    kind: GitRepository
    name: flux-system
"""

KUSTOMIZATION = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: {name}
  namespace: flux-system
spec:
  interval: 10m
  retryInterval: 1m
  timeout: 5m
  prune: true
  wait: true
  path: ./{name}
  sourceRef:
    kind: GitRepository
    name: flux-system
"""

RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: web
  namespace: web
spec:
  interval: 1h
  timeout: 5m
  maxHistory: 3
  chart:
    spec:
      chart: ./charts/web
      reconcileStrategy: Revision
      sourceRef:
        kind: GitRepository
        name: fleet
  install:
    crds: Skip
    strategy:
      name: RetryOnFailure
  upgrade:
    crds: Skip
    strategy:
      name: RetryOnFailure
  driftDetection:
    mode: enabled
  values:
    port: 8080
"""

FILES = {
    "clusters/one/flux-system/sync.yaml": SYNC,
    "clusters/one/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - flux-system/sync.yaml\n  - ks.yaml\n",
    "clusters/one/ks.yaml": KUSTOMIZATION.format(name="base") + "---\n" + KUSTOMIZATION.format(name="apps") + "  dependsOn:\n    - name: base\n",
    "base/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - namespace.yaml\n",
    "base/namespace.yaml": (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n"
        "    toolkit.fluxcd.io/tenant: web\n  annotations:\n    kustomize.toolkit.fluxcd.io/prune: disabled\n"
    ),
    "apps/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - configmap.yaml\n",
    "apps/configmap.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: web\ndata:\n  colour: blue\n",
}

#: What makes a release of the fleet; the source is the repository once more, in the namespace of the release.
CHART = {
    "apps/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - configmap.yaml\n  - release.yaml\n",
    "apps/release.yaml": RELEASE
    + "---\n"
    + SYNC.partition("---\n")[0].replace("name: flux-system", "name: fleet").replace("namespace: flux-system", "namespace: web"),
    "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
    "charts/web/values.yaml": "port: 80\n",
    "charts/web/templates/service.yaml": (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  selector:\n    app: web\n  ports:\n    - port: {{ .Values.port }}\n"
    ),
}


@dataclass
class Said:
    """What a run of the command gave."""

    code: int
    out: str
    err: str


@dataclass
class Fleet:
    """A repository on disk, and the command on it."""

    root: Path
    run: Callable[..., Said]

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")

    def __call__(self, *arguments: str) -> Said:
        return self.run(*arguments, "--repo", str(self.root))


@pytest.fixture(scope="package", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No charts from outside, one cache for all, and a date that stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLIMSOLL_CHARTS", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SOURCE_DATE_EPOCH", "1795392000")  # 2026-11-23
        yield


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command, with what it prints. What argparse refuses ends with its exit code."""

    def run(*arguments: str) -> Said:
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = int(str(stop.code or 0))
        text = capsys.readouterr()
        return Said(code, text.out, text.err)

    return run


@pytest.fixture
def fleet(tmp_path: Path, command: Callable[..., Said]) -> Fleet:
    """The repository without a release."""
    found = Fleet(tmp_path / "fleet", command)
    found.write(FILES)
    return found


@pytest.fixture
def charted(fleet: Fleet) -> Fleet:
    """The repository with a release."""
    fleet.write(CHART)
    return fleet
