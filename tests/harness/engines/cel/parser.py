"""Parses CEL. Source: the grammar and the macros of cel-go (``parser/``, ``ext/bindings.go``, ``ext/comprehensions.go``), v0.26."""

from __future__ import annotations

from functools import lru_cache

from harness.engines.cel import nodes as ast
from harness.engines.cel.data import INT_MAX, INT_MIN
from harness.engines.cel.lexer import CelSyntaxError, Token, position, tokens

_RESERVED = frozenset(
    {
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "null", "package", "namespace",
        "return", "true", "var", "void", "while",
    }
)  # fmt: skip
_KEYWORDS = frozenset({"in", "true", "false", "null"})
_CONSTANTS = {"true": True, "false": False, "null": None}
#: Operators by how tightly they bind; all of them group to the left.
_LEVELS = {
    "<": 1, "<=": 1, ">": 1, ">=": 1, "==": 1, "!=": 1, "in": 1,
    "+": 2, "-": 2, "*": 3, "/": 3, "%": 3,
}  # fmt: skip
_MAX_DEPTH = 250
#: Macros on a receiver: how many arguments after the variables.
_ONE_VARIABLE = {"all": (1,), "exists": (1,), "exists_one": (1,), "map": (1, 2), "filter": (1,), "sortBy": (1,)}
_TWO_VARIABLES = {
    "all": (1,), "exists": (1,), "exists_one": (1,), "existsOne": (1,), "transformList": (1, 2), "transformMap": (1, 2), "transformMapEntry": (1, 2),
}  # fmt: skip
_OPTIONAL_MACROS = ("optMap", "optFlatMap")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0

    # --- tokens

    def fail(self, message: str, token: Token | None = None) -> CelSyntaxError:
        at = token or self.tokens[self.index]
        return CelSyntaxError(f"{position(self.text, at.start)}: Syntax error: {message}")

    def peek(self, mark: str) -> bool:
        token = self.tokens[self.index]
        return token.text == mark and token.kind in ("mark", "name")

    def take(self, mark: str) -> bool:
        if self.peek(mark):
            self.index += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            token = self.tokens[self.index]
            raise self.fail(f"mismatched input {token.text!r} expecting {mark!r}")

    # --- grammar

    def whole(self) -> ast.Node:
        node = self.expression()
        token = self.tokens[self.index]
        if token.kind != "end":
            raise self.fail(f"extraneous input {token.text!r} expecting <EOF>")
        return node

    def expression(self) -> ast.Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise CelSyntaxError(f"expression recursion limit exceeded: {_MAX_DEPTH}")
        node = self.logic(False)
        if self.take("?"):
            yes = self.logic(False)
            self.expect(":")
            node = ast.Ternary(node, yes, self.expression())
        self.depth -= 1
        return node

    def logic(self, conjunction: bool) -> ast.Node:
        mark = "&&" if conjunction else "||"
        terms = [self.operators(1) if conjunction else self.logic(True)]
        while self.take(mark):
            terms.append(self.operators(1) if conjunction else self.logic(True))
        return terms[0] if len(terms) == 1 else ast.Logic(conjunction, tuple(terms))

    def operators(self, level: int) -> ast.Node:
        node = self.unary()
        while True:
            token = self.tokens[self.index]
            found = _LEVELS.get(token.text) if token.kind in ("mark", "name") else None
            if found is None or found < level:
                return node
            self.index += 1
            right = self.operators(found + 1)
            node = ast.Call("@in" if token.text == "in" else f"_{token.text}_", None, (node, right))

    def unary(self) -> ast.Node:
        token = self.tokens[self.index]
        if token.kind != "mark" or token.text not in "!-":
            return self.member(self.primary())
        count = 0
        while self.take(token.text):
            count += 1
        following = self.tokens[self.index]
        if token.text == "-" and following.kind == "literal" and isinstance(following.value, int | float) and type(following.value) in (int, float):
            self.index += 1
            node: ast.Node = self.member(ast.Literal(self.negated(following)))
            count -= 1
        else:
            node = self.member(self.primary())
        return ast.Call(f"{token.text}_", None, (node,)) if count % 2 else node

    def negated(self, token: Token) -> int | float:
        value: int | float = -token.value
        if isinstance(value, int) and value < INT_MIN:
            raise self.fail("invalid int literal", token)
        return value

    def primary(self) -> ast.Node:
        token = self.tokens[self.index]
        self.index += 1
        if token.kind == "literal":
            if type(token.value) is int and token.value > INT_MAX:
                raise self.fail("invalid int literal", token)
            return ast.Literal(token.value)
        if token.kind == "name" and token.text in _CONSTANTS:
            return ast.Literal(_CONSTANTS[token.text])
        if token.text == "(" and token.kind == "mark":
            node = self.expression()
            self.expect(")")
            return node
        if token.text == "[" and token.kind == "mark":
            return self.list_literal()
        if token.text == "{" and token.kind == "mark":
            return self.map_literal()
        if token.kind == "mark" and token.text == ".":
            token = self.tokens[self.index]
            self.index += 1
        if token.kind != "name" or token.text in _KEYWORDS:
            raise self.fail(f"mismatched input {token.text!r}", token)
        return self.named(token)

    def named(self, token: Token) -> ast.Node:
        name = self.message_name(token)
        if name is not None:
            return self.message(name)
        if token.text in _RESERVED:
            raise self.fail(f"reserved identifier: {token.text}", token)
        if self.take("("):
            arguments = self.arguments()
            if token.text == "has":
                return self.has(arguments, token)
            return ast.Call(token.text, None, arguments)
        return ast.Ident(token.text)

    def message_name(self, token: Token) -> str | None:
        """The type's name when names and dots up to here lead to a ``{``."""
        parts, index = [token.text], self.index
        while self.tokens[index].text == "." and self.tokens[index].kind == "mark" and self.tokens[index + 1].kind == "name":
            parts.append(self.tokens[index + 1].text)
            index += 2
        following = self.tokens[index]
        if following.text == "{" and following.kind == "mark":
            self.index = index + 1
            return ".".join(parts)
        return None

    def member(self, node: ast.Node) -> ast.Node:
        while True:
            if self.take("."):
                optional = self.take("?")
                token = self.tokens[self.index]
                self.index += 1
                if token.kind not in ("name", "quoted") or token.text in _KEYWORDS:
                    raise self.fail(f"no viable alternative at input '.{token.text}'", token)
                if token.kind == "name" and not optional and self.take("("):
                    node = self.call(node, token, self.arguments())
                else:
                    node = ast.Select(node, token.text.strip("`"), optional)
            elif self.take("["):
                optional = self.take("?")
                index = self.expression()
                self.expect("]")
                node = ast.Index(node, index, optional)
            else:
                return node

    def arguments(self) -> tuple[ast.Node, ...]:
        found: list[ast.Node] = []
        if self.take(")"):
            return ()
        while True:
            found.append(self.expression())
            if self.take(")"):
                return tuple(found)
            self.expect(",")

    def list_literal(self) -> ast.Node:
        items: list[ast.Node] = []
        optional: set[int] = set()
        while not self.take("]"):
            if self.take("?"):
                optional.add(len(items))
            items.append(self.expression())
            if not self.take(","):
                self.expect("]")
                break
        return ast.ListNode(tuple(items), frozenset(optional))

    def map_literal(self) -> ast.Node:
        entries: list[tuple[ast.Node, ast.Node, bool]] = []
        while not self.take("}"):
            optional = self.take("?")
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression(), optional))
            if not self.take(","):
                self.expect("}")
                break
        return ast.MapNode(tuple(entries))

    def message(self, name: str) -> ast.Node:
        fields: list[tuple[str, ast.Node, bool]] = []
        while not self.take("}"):
            optional = self.take("?")
            token = self.tokens[self.index]
            self.index += 1
            if token.kind not in ("name", "quoted") or token.text in _KEYWORDS:
                raise self.fail(f"mismatched input {token.text!r}", token)
            self.expect(":")
            fields.append((token.text.strip("`"), self.expression(), optional))
            if not self.take(","):
                self.expect("}")
                break
        return ast.MessageNode(name, tuple(fields))

    # --- macros

    def has(self, arguments: tuple[ast.Node, ...], token: Token) -> ast.Node:
        if len(arguments) != 1:
            return ast.Call("has", None, arguments)
        (argument,) = arguments
        if not isinstance(argument, ast.Select) or argument.test:
            raise self.fail("invalid argument to has() macro", token)
        return ast.Select(argument.operand, argument.field, argument.optional, test=True)

    def call(self, target: ast.Node, token: Token, arguments: tuple[ast.Node, ...]) -> ast.Node:
        name = token.text
        if name == "bind" and target == ast.Ident("cel") and len(arguments) == 3:
            return ast.Bind(self.variable(arguments[0], token), arguments[1], arguments[2])
        if name in _OPTIONAL_MACROS and len(arguments) == 2:
            return ast.Macro(name, target, (self.variable(arguments[0], token),), arguments[1:])
        if name in ("greatest", "least") and target == ast.Ident("math"):
            return self.extreme(name, arguments, token)
        for variables, counts in ((1, _ONE_VARIABLE), (2, _TWO_VARIABLES)):
            if len(arguments) - variables in counts.get(name, ()) and not (variables == 2 and name == "map"):
                kind = "exists_one" if name == "existsOne" else name  # with two variables only
                if kind == "sortBy" and not isinstance(target, ast.ListNode | ast.Select | ast.Ident | ast.Macro | ast.Call | ast.Index):
                    raise self.fail("sortBy can only be applied to a list, identifier, comprehension, call or select expression", token)
                names = tuple(self.variable(argument, token) for argument in arguments[:variables])
                if len(set(names)) != len(names):
                    raise self.fail(f"duplicate variable name: {names[0]}", token)
                return ast.Macro(kind, target, names, arguments[variables:])
        return ast.Call(name, target, arguments)

    def variable(self, node: ast.Node, token: Token) -> str:
        if not isinstance(node, ast.Ident):
            raise self.fail("argument must be a simple name", token)
        return node.name

    def extreme(self, name: str, arguments: tuple[ast.Node, ...], token: Token) -> ast.Node:
        if not arguments:
            raise self.fail(f"math.{name}() requires at least one argument", token)
        for argument in arguments:
            if isinstance(argument, ast.Literal) and (isinstance(argument.value, bool) or not isinstance(argument.value, int | float)):
                raise self.fail(f"math.{name}() simple literal arguments must be numeric", token)
        operator = "math.@max" if name == "greatest" else "math.@min"
        if len(arguments) <= 2:
            return ast.Call(operator, None, arguments)
        return ast.Call(operator, None, (ast.ListNode(arguments, frozenset()),))


@lru_cache(maxsize=8192)
def parse(text: str) -> ast.Node:
    """The syntax tree of an expression. Raises CelSyntaxError; RecursionError for one that is nested too deep to be read here."""
    return _Parser(text).whole()
