"""The live tier's own options, hooks and fixtures: everything is in harness.live.plugin, and only tests/e2e gets it."""

from harness.live.plugin import (
    cluster,
    kubectl,
    platform,
    pytest_addoption,
    pytest_collection,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
    pytest_pycollect_makemodule,
    pytest_pyfunc_call,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "cluster",
    "kubectl",
    "platform",
    "pytest_addoption",
    "pytest_collection",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_pycollect_makemodule",
    "pytest_pyfunc_call",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]
