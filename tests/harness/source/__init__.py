"""Files: which there are, what they say, and on which line. Knows nothing of Flux."""

from harness.source.repository import Repository, UnreadableError
from harness.source.yaml import Document, Parsed, loads, parse, split

__all__ = ["Document", "Parsed", "Repository", "UnreadableError", "loads", "parse", "split"]
