"""YAML as the Go tools write it: what text substitution works on.

Source: sigs.k8s.io/yaml JSONToYAML over go-yaml v2: keys sorted, lists not indented, lines folded at 80 columns, several lines of text as a
literal block, text that would read as something else in double quotes, and single quotes where plain text is not possible. go-yaml's emitter
is a translation of libyaml's, which writes here.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from harness.source.scalars import KUBECTL

_TEXT: Final = "tag:yaml.org,2002:str"


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, data: str) -> yaml.ScalarNode:
    style = None
    if "\n" in data:
        style = "|"
    elif not isinstance(KUBECTL(data), str) or data == "<<":
        style = '"'
    return dumper.represent_scalar(_TEXT, data, style=style)


_Dumper.add_representer(str, _text)


def dump(body: Any) -> str:
    """The text of JSON data."""
    text = str(yaml.dump(body, Dumper=_Dumper, allow_unicode=True, default_flow_style=False, sort_keys=True, width=80))
    # libyaml closes a document that ends in a block with trailing lines; go-yaml does not.
    return text.removesuffix("...\n")
