#!/usr/bin/env python3
"""Finds what g++ 12.2 compiles wrongly: a braced temporary or a capturing lambda inside a full expression with co_await is
destroyed twice. The remedy is to give it a name in a statement of its own.

    co_await_check.py PATH...      prints file:line: what, exits with 1 when it found something

It reads tokens, not C++: it decides for every "{" whether it begins a block or a value, and for every co_await which tokens belong
to its full expression. It doesn't know macros or types.
"""

import pathlib
import re
import sys

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\\n|\\.)*)
      |(?P<text>(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]*)\(.*?\)(?P=delimiter)"|(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+')
      |(?P<number>\.?\d(?:[eEpP][+-]|'?[\w.])*)
      |(?P<word>[A-Za-z_]\w*)
      |(?P<mark>::|->\*?|<=>|<<=?|>=|<=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|\.\.\.|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
OPENING = {"(": ")", "[": "]", "{": "}"}
CONTROL = {"if", "while", "for", "switch", "catch", "constexpr"}
BODY_WORDS = {"else", "do", "try", "mutable", "noexcept", "const", "override", "final", "constexpr", "volatile"}
VALUE_WORDS = {"return", "co_return", "co_yield", "co_await", "throw", "new", "case"}
TYPE_WORDS = {"class", "struct", "union", "enum", "namespace", "extern", "concept"}


class Token:
    def __init__(self, text, kind, line):
        self.text, self.kind, self.line = text, kind, line
        self.partner = None  # index of the matching bracket
        self.role = None     # of "{" and "}": block or value; of "[" and "]": lambda or index


def tokens_of(source):
    tokens, line = [], 1
    for match in TOKEN.finditer(source):
        kind = match.lastgroup if match.lastgroup != "delimiter" else "text"
        if kind != "skip":
            tokens.append(Token(match.group(), kind, line))
        line += match.group().count("\n")
    return tokens


def text_at(tokens, index):
    return tokens[index].text if 0 <= index < len(tokens) else ""


def pair_brackets(tokens):
    open_ones = []
    for index, token in enumerate(tokens):
        if token.kind != "mark":
            continue
        if token.text in OPENING:
            open_ones.append(index)
        elif token.text in OPENING.values():
            if not open_ones or OPENING[tokens[open_ones[-1]].text] != token.text:
                raise ValueError(f"line {token.line}: unbalanced {token.text!r}")
            partner = open_ones.pop()
            token.partner, tokens[partner].partner = partner, index
    if open_ones:
        raise ValueError(f"line {tokens[open_ones[-1]].line}: {tokens[open_ones[-1]].text!r} is never closed")


def is_lambda_introducer(tokens, index):
    before = tokens[index - 1] if index > 0 else None
    if text_at(tokens, index + 1) == "[" or (before is not None and before.text == "["):
        return False  # an attribute
    if before is None or before.text in VALUE_WORDS:
        return True
    return before.kind == "mark" and before.text not in (")", "]", "}") or before.text == "}" and before.role == "block"


def brace_role(tokens, index):
    """Of the "{" at `index`; everything before it has its role already."""
    before = index - 1
    if before < 0:
        return "block"
    token = tokens[before]
    if token.text == ")":
        opening = token.partner
        return "value" if text_at(tokens, opening - 1) == "decltype" else "block"
    if token.text == "]":
        return "block" if tokens[token.partner].role == "lambda" else "value"
    if token.text in BODY_WORDS:
        return "block"
    if token.text == ";" or (token.text in "{}" and token.role == "block"):
        return "block"
    if token.kind == "mark" and token.text == ":":
        # A label, or a constructor's list can't end like this; a conditional's second half can.
        return "value" if statement_has(tokens, before, {"?"}) else "block"
    if token.kind == "word" and token.text not in VALUE_WORDS or token.text in (">", "&", "*"):
        # A type before it: a trailing return type, a definition, or a value of that type.
        position = before
        while position >= 0:
            here = tokens[position]
            if here.text == "->":
                return "block" if text_at(tokens, position - 1) in (")", "]") or text_at(tokens, position - 1) in BODY_WORDS else "value"
            if here.text in (")", "]", "}"):
                if here.text == "}" and here.role == "block" or position == before:
                    break
                position = here.partner - 1
                continue
            if here.text in (";", "(", "[", "{", ",", "=", "?") or here.text in VALUE_WORDS:
                break
            if here.text in TYPE_WORDS:
                return "block"
            position -= 1
        return "block" if statement_has(tokens, before, TYPE_WORDS) else "value"
    if token.kind == "text" and text_at(tokens, before - 1) == "extern":
        return "block"
    return "value"


def statement_has(tokens, index, words):
    """Whether one of `words` stands between the beginning of the statement and `index`, outside of brackets."""
    while index >= 0:
        token = tokens[index]
        if token.text in words:
            return True
        if token.text in (")", "]", "}"):
            if token.text == "}" and token.role == "block":
                return False
            index = token.partner - 1
            continue
        if token.text in (";", "(", "[", "{"):
            return False
        index -= 1
    return False


def give_roles(tokens):
    for index, token in enumerate(tokens):
        if token.kind != "mark":
            continue
        if token.text == "[":
            token.role = tokens[token.partner].role = "lambda" if is_lambda_introducer(tokens, index) else "index"
        elif token.text == "{":
            token.role = tokens[token.partner].role = brace_role(tokens, index)


def is_control(tokens, opening):
    return text_at(tokens, opening) == "(" and text_at(tokens, opening - 1) in CONTROL


def full_expression(tokens, index):
    """The first and last token of the full expression (or the whole simple statement) around `index`."""
    first = index
    while first > 0:
        token = tokens[first - 1]
        if token.text == ";" or token.kind == "mark" and token.text in "{}" and token.role == "block" or is_control(tokens, first - 1):
            break
        if token.text == ")" and is_control(tokens, token.partner):
            break  # if (...) co_await ...
        first = token.partner if token.kind == "mark" and token.text in OPENING.values() else first - 1
    last = index
    while last + 1 < len(tokens):
        token = tokens[last + 1]
        if token.text == ";" or token.kind == "mark" and token.text in "{}" and token.role == "block":
            break
        if token.text == ")" and is_control(tokens, token.partner):
            break
        last = token.partner if token.kind == "mark" and token.text in OPENING else last + 1
    return first, last


def is_named(tokens, brace):
    """Whether the value that begins at `brace` initializes a declared name: T name{...} or T name = {...}."""
    before = tokens[brace - 1]
    if before.text == "=":
        return tokens[brace - 2].kind == "word"
    if before.kind != "word" or before.text in VALUE_WORDS:
        return False
    earlier = tokens[brace - 2] if brace >= 2 else None
    if earlier is None:
        return False
    if earlier.kind == "word":
        return earlier.text not in VALUE_WORDS
    # A type's end. "a & b{}" and "a > b{}" look the same: a statement that begins like a declaration has no bracket open before it.
    if earlier.text in (">", "&", "*", "&&"):
        first, _ = full_expression(tokens, brace - 1)
        return tokens[first].kind == "word" and not any(t.text in ("(", "=") or t.text in VALUE_WORDS for t in tokens[first:brace - 1])
    return False


def findings(source):
    """[(line, what)], one for each thing that needs a name."""
    tokens = tokens_of(source)
    if not any(token.text == "co_await" for token in tokens):
        return []
    pair_brackets(tokens)
    give_roles(tokens)
    found = {}
    for index, token in enumerate(tokens):
        if token.text != "co_await" or token.kind != "word":
            continue
        position, last = full_expression(tokens, index)
        while position <= last:
            here = tokens[position]
            if here.kind == "mark" and here.text == "{" and here.role == "block":
                position = here.partner  # a lambda's body has expressions of its own
            elif here.kind == "mark" and here.text == "{" and not is_named(tokens, position):
                found[position] = (here.line, "braced temporary")
            elif here.kind == "mark" and here.text == "[" and here.role == "lambda" and here.partner > position + 1:
                found[position] = (here.line, "capturing lambda")
            position += 1
    return [found[position] for position in sorted(found)]


def main(arguments):
    if not arguments:
        print("usage: co_await_check.py PATH...", file=sys.stderr)
        return 2
    files = []
    for argument in map(pathlib.Path, arguments):
        if not argument.exists():
            print(f"{argument}: no such file or folder", file=sys.stderr)
            return 2
        files += sorted(p for p in argument.rglob("*") if p.suffix in (".h", ".cpp")) if argument.is_dir() else [argument]
    bad = 0
    for file in files:
        try:
            for line, what in findings(file.read_text(encoding="utf-8")):
                print(f"{file}:{line}: {what} in an expression with co_await; name it in a statement before (g++ 12 destroys it twice)")
                bad += 1
        except ValueError as error:
            print(f"{file}: can't be read: {error}")
            bad += 1
    print(f"{len(files)} files, {bad} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
