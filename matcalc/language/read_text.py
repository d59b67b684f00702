"""Text -> Python syntax tree, bounded and never evaluated, with the place of each part."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from matcalc.errors import LimitError, ParseError
from matcalc.language.names import is_plain_name, normalize_name, refuse_foreign
from matcalc.rule_files import shipped_rules

LONGEST_SOURCE = 20_000
DEEPEST_BRACKETS = 180
DEEPEST_TREE = 500
MOST_NODES = 5_000

# `lambda` is a Python keyword, so the tree is read with a stand-in of the same length.
_LAMBDA = "lambd\u028c"


def restore_name(name: str) -> str:
    """Return a name of the tree as the reader typed it."""
    return "lambda" if name == _LAMBDA else name


@dataclass(frozen=True, slots=True)
class Definition:
    """A name that stands for a part of the formula: its place in the text, and the tree of what it stands for."""

    name: str
    span: tuple[int, int]
    tree: ast.expr


class SourceText:
    """A text, its syntax tree and those of its definitions; gives the place and the wording of each node.

    >>> source = SourceText("b1 = b/2; A @ x + b1")
    >>> source.write(source.tree.left), source.definitions[0].name
    ('A @ x', 'b1')
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ParseError(f"an expression is a text, not {type(text).__name__}")
        if len(text) > LONGEST_SOURCE:
            raise LimitError(f"the text has {len(text)} characters; {LONGEST_SOURCE} is the most")
        self.text = re.sub(r"\s", " ", text)
        if not self.text.strip():
            raise ParseError("there is no expression", advice="write one, such as A @ x")
        _check_characters(self.text)
        self._line = re.sub(r"\blambda\b", _LAMBDA, self.text)
        self._is_ascii = self._line.isascii()
        *definitions, formula = split_statements(text)
        self.definitions = tuple([self._read_definition(part) for part in definitions])
        self.tree: ast.expr = self._read(formula.start, formula.end)

    def _read_definition(self, part: Statement) -> Definition:
        assert part.equals is not None
        name = self.text[part.start : part.equals].rstrip()
        span = part.start, part.start + len(name)
        if not is_plain_name(name):
            raise ParseError("only a name stands on the left of =", span=span, advice=HOW)
        if not self.text[part.equals + 1 : part.end].strip():
            raise ParseError(f"what {name} stands for is missing", span=(part.equals, part.equals + 1), advice=HOW)
        return Definition(normalize_name(name), span, self._read(part.equals + 1, part.end))

    def _read(self, start: int, end: int) -> ast.expr:
        """Return the tree of a part of the text; the places in it are those in the whole text, in bytes."""
        part = self._line[start:end]
        start += len(part) - len(part.lstrip())
        try:
            with warnings.catch_warnings():
                # Python warns on stderr of text such as 1or x; the error that follows says it better.
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(part.strip(), mode="eval").body
        except SyntaxError as error:
            raise self._explain(error, part.strip(), start) from None
        except (RecursionError, MemoryError):
            raise LimitError("the expression is nested too deeply", advice="split it into parts") from None
        except ValueError as error:
            raise ParseError(f"this cannot be read: {error}") from None
        offset = len(self._line[:start].encode())
        for node in ast.walk(tree) if offset else ():
            if isinstance(node, ast.expr | ast.keyword):
                node.col_offset += offset
                node.end_col_offset = (node.end_col_offset or 0) + offset
        return tree

    def _explain(self, error: SyntaxError, part: str, start: int) -> ParseError:
        """Return the reader's view of a syntax error, with what they may have meant."""
        # Python has no offset where the text ends too early.
        start += min(error.offset - 1 if error.offset else len(part), len(part))
        wording = str(error.msg).partition(". ")[0].partition(" (")[0]
        if "nested parentheses" in wording or "limit" in wording:
            return ParseError("more brackets or digits than can be read", span=(start, start + 1))
        told = _tell(wording, self.text[start : start + 1])
        return ParseError(f"this is not an expression: {told}", span=(start, start + 1), advice=_advise(part, wording))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the start and end of a node in the reader's text."""
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)
        if not self._is_ascii:
            line = self._line.encode()
            start, end = len(line[:start].decode()), len(line[:end].decode())
        return start, end

    def write(self, node: ast.AST) -> str:
        """Return a node as the reader wrote it."""
        start, end = self.span(node)
        return self.text[start:end]


def _check_characters(text: str) -> None:
    """Raise for characters that are not in the language, and where brackets do not match."""
    refuse_foreign(text)
    stack: list[tuple[str, int]] = []
    for place, character in enumerate(text):
        if character in "([{":
            stack.append((character, place))
            if len(stack) > DEEPEST_BRACKETS:
                raise LimitError(f"more than {DEEPEST_BRACKETS} brackets are nested", span=(place, place + 1))
        elif character in ")]}":
            if not stack or stack.pop()[0] + character not in ("()", "[]", "{}"):
                raise ParseError(f"{character!r} has no opening bracket", span=(place, place + 1))
    if stack:
        character, place = stack[-1]
        raise ParseError(f"{character!r} is never closed", span=(place, place + 1), advice="close the bracket")


# What Python says of a text, and what that means to who wrote a formula.
_TOLD = {
    "unterminated string literal": "a quote stands alone", "unterminated triple-quoted": "a quote stands alone",
    "invalid decimal literal": "a number runs into a name", "invalid hexadecimal literal": "a number runs into a name",
    "invalid binary literal": "a number runs into a name", "invalid octal literal": "a number runs into a name",
    "leading zeros": "a number begins with 0", "unexpected character": "a line ends inside",
    "positional argument follows": "a keyword stands before an argument",
    "cannot assign": "only a name stands before =",
    "unexpected EOF": "it ends too early", "was never closed": "a bracket is never closed",
    "does not match": "the brackets do not match", "unmatched": "the brackets do not match",
    "cannot mix bytes": "a text in quotes stands inside", "bytes can only": "a text in quotes stands inside",
    "f-string": "a text in quotes stands inside", "expected 'else'": "where(x > 0, x, y) chooses",
    "invalid imaginary literal": "a number runs into a name",
}  # fmt: skip


def _tell(wording: str, character: str) -> str:
    """Return in the words of a formula what Python finds wrong."""
    for said, told in _TOLD.items():
        if said in wording:
            return told
    return f"{character!r} cannot stand here" if character.strip() else "it ends too early"


def _advise(text: str, wording: str) -> str:
    if "'" in text and "string" in wording:
        return "write the transpose of X as X.T"
    called = re.search(r"\b(\w+)\s+(det\s+)?(\w+)", text)
    if called and called[1] in shipped_rules().functions:
        return f"write {'logdet' if called[2] and called[1] == 'log' else called[1]}({called[3]})"
    if text.rstrip().endswith(tuple("+-*/@,<>")):
        return "write what follows " + text.rstrip()[-1]
    if re.search(r"[^=<>!]=[^=]", text):
        return "write only what stands on the right of ="
    if re.search(r"\d\s*[^\W\d_]|\)\s*\w|\w\s+\w", text):
        return "write products with * or @, as in 2*x"
    if not text.isascii():
        return "operators are + - * / ** @ and .T"
    return "write it as in x.T @ A @ x + sum(exp(x))"


# --- definitions ------------------------------------------------------------------------------------
#
# Definitions before the formula, p = softmax(A @ x); diag(p) - p @ p.T: where each part of a text begins and ends.


HOW = "write definitions first and the formula last, as in p = softmax(x); diag(p) - p @ p.T"
_OPENERS, _CLOSERS, _QUOTES = "([{", ")]}", "'\""
# A line that begins so, or stands behind one that ends so, goes on where the line before it ended.
_BEGINS_INSIDE = ("+", "*", "/", "@", ".", "<", ">")
_ENDS_INSIDE = ("+", "-", "*", "/", "@", "<", ">", "=")


@dataclass(frozen=True, slots=True)
class Statement:
    """One part of a text: where it stands, and the place of its = where it is a definition."""

    start: int
    end: int
    equals: int | None = None


def split_statements(text: str) -> list[Statement]:
    """Return the definitions of a text and, last, its formula; the whole text where it defines nothing.

    Parts are separated by ; or by the end of a line, outside of brackets.  Raises ParseError where something
    else than a definition stands before the formula, or where the formula is missing.

    >>> text = "p = softmax(x); diag(p)"
    >>> [text[part.start:part.end] for part in split_statements(text)]
    ['p = softmax(x)', 'diag(p)']
    """
    whole = Statement(0, len(text))
    if "=" not in text:
        return [whole]
    parts = _join_lines(text, [part for part in _cut(text) if text[part.start : part.end].strip()])
    if not any(part.equals is not None for part in parts) or (len(parts) == 1 and ";" not in text):
        return [whole]
    for part in parts[:-1]:
        if part.equals is None:
            raise ParseError("only definitions stand before the formula", span=(part.start, part.end), advice=HOW)
    if parts[-1].equals is not None:
        end = len(text.rstrip())
        raise ParseError("the formula is missing behind the definitions", span=(end, end + 1), advice=HOW)
    return parts


def _cut(text: str) -> Iterator[Statement]:
    """Yield the parts between ; and ends of lines, each without the space around it."""
    start, equals = 0, None
    for place in _list_marks(text):
        if text[place] == "=":
            equals = place if equals is None else equals
            continue
        yield _trim(text, start, place, equals)
        start, equals = place + 1, None
    yield _trim(text, start, len(text), equals)


def _trim(text: str, start: int, end: int, equals: int | None) -> Statement:
    inside = text[start:end]
    return Statement(start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip()), equals)


def _list_marks(text: str) -> Iterator[int]:
    """Yield the places of every ; and = and end of a line outside of brackets and quotes; == and >= are no =."""
    depth, quote = 0, ""
    for place, character in enumerate(text):
        if quote or character in _QUOTES:
            quote = "" if character == quote else quote or character
        elif character in _OPENERS or character in _CLOSERS:
            depth += 1 if character in _OPENERS else -1
        elif depth == 0 and character in ";\n=":
            if character != "=" or not re.match(r"[=<>!:]=|.==", text[max(0, place - 1) : place + 2]):
                yield place


def _join_lines(text: str, parts: list[Statement]) -> list[Statement]:
    """Join the lines of one statement: of a formula all that follow, of a definition those that go on with it."""
    joined: list[Statement] = []
    for part in parts:
        if joined and part.equals is None and _goes_on(text, joined[-1], part):
            joined[-1] = Statement(joined[-1].start, part.end, joined[-1].equals)
        else:
            joined.append(part)
    return joined


def _goes_on(text: str, before: Statement, part: Statement) -> bool:
    if ";" in text[before.end : part.start]:
        return False
    if before.equals is None or text[before.start : before.end].endswith(_ENDS_INSIDE):
        return True
    return text.startswith(_BEGINS_INSIDE, part.start)
