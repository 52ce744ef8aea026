"""Pictures of a network: Graphviz's language, and SVG with a layout of our own (a box for each namespace, in columns)."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_WIDTH, _ROW, _HEAD, _GAP, _PAD = 250, 22, 26, 130, 24
_COLOURS: Final = ("#1b6ca8", "#b3541e", "#3a7d44", "#7b2d8b", "#a41f35", "#00707a", "#6b5b00", "#4a4a8a")


def _boxes(document: dict[str, Any]) -> dict[str, list[str]]:
    """The nodes of the picture by namespace; what is outside has the empty one."""
    found: dict[str, list[str]] = {}
    names = {each["workload"] for each in document["workloads"]}
    for each in document["connections"]:
        names |= {each["from"], each["to"]}
    for name in sorted(names):
        found.setdefault(name.split("/")[1], []).append(name)
    outside = sorted({each["shown"] for each in document["outside"]} | {each["entrance"] for each in document["entrances"] if "problem" not in each})
    if outside:
        found[""] = outside
    return found


def _edges(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    edges = [(each["from"], each["to"], each["ports"]) for each in document["connections"]]
    for each in document["outside"]:
        ends = (each["workload"], each["shown"]) if each["direction"] == "egress" else (each["shown"], each["workload"])
        edges.append((*ends, each["ports"]))
    edges += [(each["entrance"], each["to"], each["allowed"]) for each in document["entrances"] if "problem" not in each and each["allowed"] != "none"]
    return edges


def dot(document: dict[str, Any]) -> str:
    """The network in Graphviz's language."""

    def quoted(words: str) -> str:
        escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    lines = ["digraph network {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif", fontsize=10];', '  edge [fontname="sans-serif", fontsize=9];']
    for number, (namespace, names) in enumerate(sorted(_boxes(document).items())):
        if namespace:
            lines += [f"  subgraph cluster_{number} {{", f"    label={quoted(namespace)};"]
            lines += [f"    {quoted(name)} [label={quoted(_short(name))}];" for name in names]
            lines.append("  }")
        else:
            lines += [f"  {quoted(name)} [shape=ellipse];" for name in names]
    lines += [f"  {quoted(source)} -> {quoted(destination)} [label={quoted(ports)}];" for source, destination, ports in _edges(document)]
    return "\n".join([*lines, "}"])


def _short(name: str) -> str:
    kind, _, rest = name.partition("/")
    return f"{rest.partition('/')[2]}\n{kind}"


def svg(document: dict[str, Any]) -> str:
    """The network as one SVG: hovering over a line tells its ends and ports."""
    boxes = _boxes(document)
    places, frames, width, height = _layout(boxes)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="11">',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" orient="auto">',
        '<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    colours = {namespace: _COLOURS[number % len(_COLOURS)] for number, namespace in enumerate(sorted(boxes))}
    owners = {name: namespace for namespace, names in boxes.items() for name in names}
    for namespace, (x, y, w, h) in frames.items():
        title = escape(namespace or "outside, and ways in")
        lines.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="#f6f7f9" stroke="{colours[namespace]}"/>')
        lines.append(f'<text x="{x + 8}" y="{y + 17}" font-weight="bold" fill="{colours[namespace]}">{title}</text>')
    for name, (x, y) in places.items():
        kind, _, rest = name.partition("/")
        words = f"{rest.partition('/')[2]} ({kind})" if owners[name] else name
        shown = words if len(words) < 42 else f"{words[:40]}…"
        lines.append(
            f'<g><title>{escape(name)}</title><rect x="{x}" y="{y}" width="{_WIDTH - 16}" height="{_ROW - 4}" rx="3" fill="#ffffff" stroke="#b8bec6"/>'
        )
        lines.append(f'<text x="{x + 6}" y="{y + 13}" fill="#1c2128">{escape(shown)}</text></g>')
    for source, destination, ports in _edges(document):
        lines.append(_curve(places[source], places[destination], colours[owners[source]], f"{source} -> {destination} {ports}"))
    return "\n".join([*lines, "</svg>"])


def _layout(boxes: dict[str, list[str]]) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int, int, int]], int, int]:
    """Boxes into columns of about equal height, what is outside first; the place of every node and frame, and the size of it all."""
    heights = {namespace: _HEAD + _ROW * len(names) + 6 for namespace, names in boxes.items()}
    total = sum(heights.values()) + _PAD * len(heights)
    columns = max(1, min(6, round((total / 500) ** 0.5 * 1.2), len(boxes)))
    limit = total / columns
    places: dict[str, tuple[int, int]] = {}
    frames: dict[str, tuple[int, int, int, int]] = {}
    x, y, bottom = _PAD, _PAD, 0
    for namespace in sorted(boxes):
        if y > _PAD and y + heights[namespace] / 2 > limit + _PAD:
            x, y = x + _WIDTH + _GAP, _PAD
        frames[namespace] = (x, y, _WIDTH, heights[namespace])
        for number, name in enumerate(boxes[namespace]):
            places[name] = (x + 8, y + _HEAD + _ROW * number)
        y += heights[namespace] + _PAD
        bottom = max(bottom, y)
    return places, frames, x + _WIDTH + _PAD + 60, max(bottom, _PAD * 2)


def _curve(source: tuple[int, int], destination: tuple[int, int], colour: str, title: str) -> str:
    y1, y2, inner = source[1] + _ROW // 2 - 2, destination[1] + _ROW // 2 - 2, _WIDTH - 16
    if source[0] == destination[0]:
        x1 = x2 = source[0] + inner
        bend = 30 + min(abs(y2 - y1) // 8, 60)
        path = f"M{x1},{y1} C{x1 + bend},{y1} {x2 + bend},{y2} {x2},{y2}"
    elif source[0] < destination[0]:
        x1, x2 = source[0] + inner, destination[0]
        path = f"M{x1},{y1} C{x1 + 70},{y1} {x2 - 70},{y2} {x2},{y2}"
    else:
        x1, x2 = source[0], destination[0] + inner
        path = f"M{x1},{y1} C{x1 - 70},{y1} {x2 + 70},{y2} {x2},{y2}"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-opacity="0.45" marker-end="url(#end)"><title>{escape(title)}</title></path>'
