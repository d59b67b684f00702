"""Text -> Python syntax tree, bounded and never evaluated, with the place of each part."""

from __future__ import annotations

import ast
import re
import warnings

from matcalc.errors import LimitError, ParseError
from matcalc.language.foreign_characters import refuse_foreign
from matcalc.rule_files import shipped_rules

LONGEST_TEXT = 20_000
DEEPEST_BRACKETS = 180
DEEPEST_TREE = 500
MOST_NODES = 5_000

# `lambda` is a Python keyword, so the tree is read with a stand-in of the same length.
_LAMBDA = "lambd\u028c"


def restore_name(name: str) -> str:
    """Return a name of the tree as the reader typed it."""
    return "lambda" if name == _LAMBDA else name


class SourceText:
    """A text and its syntax tree; gives the place and the wording of each node.

    >>> source = SourceText("A @ x + b")
    >>> source.write(source.tree.left)
    'A @ x'
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ParseError(f"an expression is a text, not {type(text).__name__}")
        if len(text) > LONGEST_TEXT:
            raise LimitError(f"the text has {len(text)} characters; {LONGEST_TEXT} is the most")
        self.text = re.sub(r"\s", " ", text)
        if not self.text.strip():
            raise ParseError("there is no expression", advice="write one, such as A @ x")
        _check_characters(self.text)
        self._left = len(self.text) - len(self.text.lstrip())
        self._line = re.sub(r"\blambda\b", _LAMBDA, self.text.strip())
        self._is_ascii = self._line.isascii()
        self.tree: ast.expr = self._read()

    def _read(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                # Python warns on stderr of text such as 1or x; the error that follows says it better.
                warnings.simplefilter("ignore", SyntaxWarning)
                return ast.parse(self._line, mode="eval").body
        except SyntaxError as error:
            raise self._explain(error) from None
        except (RecursionError, MemoryError):
            raise LimitError("the expression is nested too deeply", advice="split it into parts") from None
        except ValueError as error:
            raise ParseError(f"this cannot be read: {error}") from None

    def _explain(self, error: SyntaxError) -> ParseError:
        """Return the reader's view of a syntax error, with what they may have meant."""
        # Python has no offset where the text ends too early.
        place = min(error.offset - 1 if error.offset else len(self._line), len(self._line))
        start = self._left + place
        wording = str(error.msg).partition(". ")[0].partition(" (")[0]
        if "nested parentheses" in wording or "limit" in wording:
            return ParseError("this is beyond what can be read: " + wording, span=(start, start + 1))
        return ParseError(
            f"this is not an expression: {wording}", span=(start, start + 1), advice=_advise(self.text, wording)
        )

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the start and end of a node in the reader's text."""
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)
        if not self._is_ascii:
            line = self._line.encode()
            start, end = len(line[:start].decode()), len(line[:end].decode())
        return self._left + start, self._left + end

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
