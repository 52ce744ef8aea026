# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2026.10.20"]
# ///
"""What can be run here: ``nox -l`` lists it, ``nox -s NAME`` runs one, ``nox`` runs the three that a pull request needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

PYTHON_SOURCES = ("conftest.py", "noxfile.py", "benchmarks", "tests")
# Bytecode is kept even where the environment says otherwise: compiling on every start costs more than the checks.
COMPILED = {"PYTHONDONTWRITEBYTECODE": None}
YAML_SOURCES = ("clusters", "policies", ".github", "tests/intent")


@nox.session
def static(session: nox.Session) -> None:
    """Prove every cluster from Git alone. This is the required pull-request check."""
    install(session, "static")
    session.run("pytest", "tests/static", *session.posargs, env=COMPILED)


@nox.session
def unit(session: nox.Session) -> None:
    """Test the harness itself, on all processors."""
    install(session, "unit")
    session.run("pytest", "tests/unit", "--numprocesses=auto", "--dist=worksteal", *session.posargs, env=COMPILED)


@nox.session
def lint(session: nox.Session) -> None:
    """Check types, style, manifests' layout, shell scripts and workflows."""
    install(session, "lint")
    session.run("ruff", "check", *PYTHON_SOURCES)
    session.run("ruff", "format", "--check", *PYTHON_SOURCES)
    session.run("mypy")
    session.run("mypy", "tests/e2e")
    session.run("yamllint", "--strict", *YAML_SOURCES)
    session.run("shellcheck", ".ci/run")
    session.run("actionlint", external=True)
    session.run("zizmor", "--offline", "--quiet", ".github/workflows")


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Raise a kind cluster, let Flux build the working tree in it, and prove the platform alive. Needs docker and kind."""
    install(session, "e2e")
    session.run("pytest", "tests/e2e", *session.posargs, env=COMPILED)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Render every chart again and rewrite tests/lock/ from it."""
    install(session, "static")
    session.run("python", "-m", "harness", "lock", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Rewrite what is generated: tests/CATALOG.md and the table in clusters/README.md."""
    install(session, "static")
    session.run("python", "-m", "harness", "docs", *session.posargs)


@nox.session(default=False)
def harness(session: nox.Session) -> None:
    """Ask the harness: nox -s harness -- tree kind."""
    install(session, "static")
    session.run("python", "-m", "harness", *session.posargs)


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Measure the static tier: phases, objects, seconds, memory, growth."""
    install(session, "unit")
    session.run("python", "benchmarks/static.py", *session.posargs)


@nox.session(default=False)
def engines(session: nox.Session) -> None:
    """Measure the engines: rates and times, beside other tools on PATH."""
    install(session, "unit")
    session.run("python", "benchmarks/engines.py", *session.posargs)


@nox.session(default=False, venv_backend="none")
def requirements(session: nox.Session) -> None:
    """Pin every dependency group again, with hashes: requirements/<group>.txt."""
    for group in nox.project.load_toml("pyproject.toml")["dependency-groups"]:
        if group == "render":
            continue
        own = [] if group == "nox" else ["pyproject.toml"]
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes", "--no-emit-index-url", "--no-header"]
        session.run(*command, *own, f"--group={group}", f"--output-file=requirements/{group}.txt", *session.posargs, external=True)


def install(session: nox.Session, group: str) -> None:
    """Install a group exactly as pinned, and the harness itself; nothing when the environment already holds just that."""
    pins = Path("requirements", f"{group}.txt")
    digest = hashlib.sha256(pins.read_bytes() + Path("pyproject.toml").read_bytes()).hexdigest()
    stamp = Path(session.virtualenv.location, "installed")
    if stamp.is_file() and stamp.read_text() == digest:
        return
    session.install("--no-deps", "--require-hashes", "--requirement", str(pins))
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    stamp.write_text(digest)
