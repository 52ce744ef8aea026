"""What of a repository Flux sees: source-controller leaves out what its defaults and ``.sourceignore`` name.

Source: fluxcd/pkg/sourceignore and the "Excluding files" section of the GitRepository and OCIRepository documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pathspec

if TYPE_CHECKING:
    from harness.source.repository import Repository

#: The controller's defaults that can matter to YAML: version control, CI and tool settings. (Images and archives never parse as manifests.)
_DEFAULTS: Final = (
    ".git/",
    ".gitignore",
    ".gitmodules",
    ".gitattributes",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    ".goreleaser.yml",
    ".sops.yaml",
)


class SourceView:
    """The files of a repository that are in the artifact Flux builds from."""

    def __init__(self, repository: Repository, ignore: str | None = None) -> None:
        """``ignore``: ``spec.ignore`` of the source; it replaces the ``.sourceignore`` file at the root, as the controller does."""
        lines: list[str] = list(_DEFAULTS)
        if ignore is not None:
            lines += ignore.splitlines()
        elif repository.exists(".sourceignore"):
            lines += repository.text(".sourceignore").splitlines()
        self._spec = pathspec.GitIgnoreSpec.from_lines(lines)
        self._repository = repository

    def admits(self, path: str) -> bool:
        """Whether a file of the repository enters the artifact."""
        return not self._spec.match_file(path)

    def manifests(self) -> tuple[str, ...]:
        """Every YAML file in the artifact, sorted."""
        return tuple(path for path in self._repository.files() if path.endswith((".yaml", ".yml")) and self.admits(path))
