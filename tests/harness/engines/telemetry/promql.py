"""PromQL, read: what an expression selects, what it does with it, and which labels its result can have.

The parser is promql-parser's (a port of Prometheus' own grammar), imported when the first expression is read; each distinct text is read once.
Source of the label rules: Prometheus 3.13 ``docs/querying/{operators,functions}.md`` and ``promql/engine.go`` (VectorBinop, resultMetric, aggregation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: The labels of a selector's series, by the selector; None when they are not known.
    LabelsOf = Callable[["Node"], frozenset[str] | None]

#: Functions of a range that make a rate of a counter.
RATES: Final = frozenset({"rate", "irate", "increase"})
#: Functions of a range that only make sense for gauges.
GAUGE_ONLY: Final = frozenset({"delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing"})
_SETS: Final = frozenset({"and", "or", "unless"})
_PICKERS: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
#: Functions whose result has no label at all.
_BARE: Final = frozenset({"scalar", "vector", "time", "pi", "start", "end", "step", "range"})
_ABSENT: Final = frozenset({"absent", "absent_over_time"})
#: Functions whose result is a number, not series.
_SCALARS: Final = frozenset({"scalar", "time", "pi", "start", "end", "step", "range"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher: ``op`` is ``=``, ``!=``, ``=~`` or ``!~``."""

    name: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Node:
    """One step of an expression.

    ``kind``: ``selector`` (``name`` is the metric's, empty when a matcher gives it), ``range`` (of one selector, ``seconds`` long), ``subquery``,
    ``aggregate``, ``call``, ``binary``, ``unary``, ``number``, ``string``. ``grouping`` is ``by`` or ``without``, ``on`` or ``ignoring``, or empty;
    ``labels`` go with it, ``include`` are those of group_left or group_right. ``cardinality`` is ``one``, ``left`` or ``right`` (the side with many).
    """

    kind: str
    name: str = ""
    children: tuple[Node, ...] = ()
    matchers: tuple[Matcher, ...] = ()
    grouping: str = ""
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    cardinality: str = "one"
    seconds: float = 0
    text: str = ""

    def walk(self, above: tuple[Node, ...] = ()) -> Iterator[tuple[Node, tuple[Node, ...]]]:
        """Every node, each with those above it, the outermost first."""
        yield self, above
        for child in self.children:
            yield from child.walk((*above, self))

    @property
    def scalar(self) -> bool:
        """Whether it is a number rather than series."""
        if self.kind in ("number", "string"):
            return True
        if self.kind == "call":
            return self.name in _SCALARS
        if self.kind in ("binary", "unary"):
            return all(child.scalar for child in self.children)
        return False


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and what it means; ``error`` is the parser's reason when it means nothing."""

    text: str
    root: Node | None
    error: str = ""

    def selectors(self) -> list[tuple[Node, tuple[Node, ...]]]:
        """Every selector, with the nodes above it."""
        return [(node, above) for node, above in self.root.walk() if node.kind == "selector"] if self.root is not None else []

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the series that it reads, where they are given literally."""
        return tuple(dict.fromkeys(node.name for node, _ in self.selectors() if node.name))


@lru_cache(maxsize=65536)
def read(text: str) -> Expression:
    """The expression of a text. Never raises."""
    import promql_parser

    try:
        parsed = promql_parser.parse(text)
    except ValueError as error:
        return Expression(text, None, " ".join(str(error).split()))
    except BaseException as error:
        # The parser is a native extension: a panic of it derives from BaseException and must not end the run.
        if type(error).__name__ != "PanicException":
            raise
        return Expression(text, None, "the parser failed on it")
    return Expression(text, _node(parsed))


def _node(parsed: Any) -> Node:
    kind = type(parsed).__name__
    if kind == "ParenExpr":
        return _node(parsed.expr)
    if kind == "VectorSelector":
        return _selector(parsed)
    if kind == "MatrixSelector":
        return Node("range", children=(_selector(parsed.vector_selector),), seconds=parsed.range.total_seconds())
    if kind == "SubqueryExpr":
        return Node("subquery", children=(_node(parsed.expr),), seconds=parsed.range.total_seconds())
    if kind == "UnaryExpr":
        return Node("unary", children=(_node(parsed.expr),))
    if kind == "Call":
        return Node("call", parsed.func.name, tuple(_node(argument) for argument in parsed.args))
    if kind == "AggregateExpr":
        return _aggregate(parsed)
    if kind == "BinaryExpr":
        return _binary(parsed)
    if kind == "StringLiteral":
        return Node("string", text=str(parsed.val))
    return Node("number", text=str(getattr(parsed, "val", "")))


def _selector(parsed: Any) -> Node:
    matchers = []
    name = parsed.name or ""
    # Alternatives (`or` between matchers) narrow in ways that one list cannot say: they count as no matcher.
    for each in [] if parsed.matchers.or_matchers else parsed.matchers.matchers:
        op = _operator(each.op)
        if each.name == "__name__" and op == "=" and not name:
            name = each.value
        else:
            matchers.append(Matcher(each.name, op, each.value))
    return Node("selector", name, matchers=tuple(matchers))


def _operator(op: Any) -> str:
    name = str(op).rpartition(".")[2]
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}.get(name, name)


def _aggregate(parsed: Any) -> Node:
    children = [_node(parsed.expr)]
    if parsed.param is not None:
        children.append(_node(parsed.param))
    grouping, labels = "", ()
    if parsed.modifier is not None:
        grouping = "by" if str(parsed.modifier.type).endswith("By") else "without"
        labels = tuple(parsed.modifier.labels)
    return Node("aggregate", str(parsed.op), tuple(children), grouping=grouping, labels=labels)


def _binary(parsed: Any) -> Node:
    grouping, labels, include, cardinality = "", (), (), "one"
    modifier = parsed.modifier
    if modifier is not None:
        if modifier.matching is not None:
            grouping = "on" if str(modifier.matching.type).endswith("Include") else "ignoring"
            labels = tuple(modifier.matching.labels)
        cardinality = {"ManyToOne": "left", "OneToMany": "right"}.get(str(modifier.card).rpartition(".")[2], "one")
        include = tuple(modifier.group_labels or ())
    # A comparison that only filters keeps the values; with bool it makes numbers.
    text = "bool" if modifier is not None and modifier.return_bool else ""
    return Node("binary", str(parsed.op), (_node(parsed.lhs), _node(parsed.rhs)), (), grouping, labels, include, cardinality, text=text)


def result_labels(node: Node, labels_of: LabelsOf) -> frozenset[str] | None:
    """The labels that the series of a result can have (``__name__`` left out); None when they are not known."""
    if node.kind == "selector":
        return labels_of(node)
    if node.kind in ("number", "string"):
        return frozenset()
    if node.kind in ("range", "subquery", "unary"):
        return result_labels(node.children[0], labels_of)
    if node.kind == "aggregate":
        return _aggregated(node, labels_of)
    if node.kind == "call":
        return _called(node, labels_of)
    return _joined(node, labels_of)


def _aggregated(node: Node, labels_of: LabelsOf) -> frozenset[str] | None:
    inner = result_labels(node.children[0], labels_of)
    if node.name in _PICKERS:
        return inner
    kept: frozenset[str] | None = frozenset()
    if node.grouping == "by":
        kept = frozenset(node.labels) if inner is None else frozenset(node.labels) & inner
    elif node.grouping == "without":
        kept = None if inner is None else inner - frozenset(node.labels)
    if node.name == "count_values" and kept is not None and len(node.children) > 1:
        return kept | {node.children[1].text}
    return kept


def _called(node: Node, labels_of: LabelsOf) -> frozenset[str] | None:
    if node.name in _BARE or not node.children:
        return frozenset()
    if node.name in _ABSENT:
        asked = node.children[0]
        while asked.kind in ("range", "subquery"):
            asked = asked.children[0]
        return frozenset(matcher.name for matcher in asked.matchers if matcher.op == "=") if asked.kind == "selector" else frozenset()
    series = next((child for child in node.children if not child.scalar), None)
    if series is None:
        return frozenset()
    inner = result_labels(series, labels_of)
    if node.name in ("histogram_quantile", "histogram_fraction"):
        return None if inner is None else inner - {"le"}
    if node.name in ("label_replace", "label_join"):
        target = node.children[1].text if len(node.children) > 1 else ""
        return None if inner is None else inner | {target}
    return None if node.name in ("info", "histogram_quantiles") else inner


def _joined(node: Node, labels_of: LabelsOf) -> frozenset[str] | None:
    left, right = node.children
    if left.scalar or right.scalar:
        return result_labels(right if left.scalar else left, labels_of)
    first, second = result_labels(left, labels_of), result_labels(right, labels_of)
    if node.name in ("and", "unless"):
        return first
    if node.name == "or":
        return None if first is None or second is None else first | second
    if node.cardinality != "one":
        many = first if node.cardinality == "left" else second
        return None if many is None else many | frozenset(node.include)
    if node.grouping == "on":
        named = frozenset(node.labels)
        return named if first is None else named & first
    return None if first is None else first - (frozenset(node.labels) if node.grouping == "ignoring" else frozenset())
