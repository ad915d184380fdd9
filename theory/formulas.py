"""Formulas as the statements print them, in letters, to MathML, which browsers show without a script."""

import html
import re
import unicodedata

_LETTERS = {
    **{"α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "ε": r"\varepsilon ", "κ": r"\kappa ", "λ": r"\lambda "},
    **{"μ": r"\mu ", "π": r"\pi ", "τ": r"\tau ", "Σ": r"\sum ", "‖": r"\| ", "−": "-", "±": r"\pm ", "·": r"\cdot "},
    **{"≤": r"\le ", "≥": r"\ge ", "≪": r"\ll ", "∈": r"\in ", "∞": r"\infty ", "→": r"\to ", "∥": r"\parallel "},
    **{"⊥": r"\perp ", "′": "'", "{": r"\{", "}": r"\}", "%": r"\%", "|": r"|"},
}
_RAISED = {"ᵗ": "t", "ᵉ": "e", "ᵀ": r"\top ", "⁻": "-", "¹": "1", "²": "2", "³": "3", "⁵": "5", "*": "*"}
_LOWERED = {"₊": "+", "₋": "-", "₁": "1", "₂": "2"}
_OPERATORS = ("lim", "cos", "log", "max", "exp")
_PRODUCTS = ("cd",)
_WORDS = re.compile(r"(?:\(\d+\))?'s right side|[A-Za-z]{2,}(?:-[a-z]+)*")


def mathml(formula: str) -> str:
    """A formula of a statement, such as 'p_kᵗᵉ(x) ≤ e^(ατ/2)', as MathML, with its letters for who reads aloud."""
    from latex2mathml.converter import convert  # of the extra docs

    return convert(tex(formula)).replace("<math ", f'<math alttext="{html.escape(formula)}" ', 1)


def tex(formula: str) -> str:
    r"""The same as TeX.

    >>> tex("p_kᵗᵉ(x) ≤ √α* e^(ατ/2), if K ≥ 12")
    'p_{k}^{te}(x)\\le \\sqrt{\\alpha ^{*}}e^{\\alpha \\tau /2},\\text{ if }K\\ge 12'
    """
    return _Reader(unicodedata.normalize("NFD", formula.replace(":=", "\u2254"))).all()


class _Reader:
    def __init__(self, text: str):
        self._text, self._at = text, 0

    def all(self) -> str:
        parts = []
        while self._at < len(self._text):
            parts.append(self._next())
        return "".join(parts)

    def _next(self) -> str:
        """One letter with all that hangs on it, one word, or one sign."""
        text = self._text
        if words := _WORDS.match(text, self._at):
            if words[0] in _OPERATORS:
                self._at = words.end()
                return rf"\{words[0]} "
            if words[0] not in _PRODUCTS and not words[0].isupper():
                return self._sentence()
        letter = text[self._at]
        self._at += 1
        if letter == " ":
            return ""
        if letter in _RAISED:
            self._at -= 1
            return f"^{{{self._run(_RAISED)}}}"
        if letter in _LOWERED or (letter == "±" and text[self._at - 2 : self._at - 1] in ("γ", "p")):
            self._at -= 1
            return f"_{{{self._run(_LOWERED | {'±': chr(92) + 'pm '})}}}"
        if letter in "_^":
            sign = "^" if letter == "^" else "_"
            return f"{sign}{{{self._argument(sign)}}}"
        if letter == "√":
            return rf"\sqrt{{{self._argument(letter)}}}"
        shown = _LETTERS.get(letter, letter)
        if self._at < len(text) and text[self._at] == "\u0303":
            self._at += 1
            return rf"\tilde{{{shown.strip()}}}"
        return shown

    def _sentence(self) -> str:
        """Words in a row, with the spaces about them."""
        start = self._at
        words = []
        while found := _WORDS.match(self._text, self._at):
            if found[0] in (*_OPERATORS, *_PRODUCTS) or found[0].isupper():
                break
            words.append(found[0])
            self._at = found.end()
            while self._text[self._at : self._at + 1] == " ":
                self._at += 1
        before = " " if start and self._text[start - 1] == " " else ""
        after = " " if self._text[self._at - 1] == " " else ""
        return rf"\text{{{before}{' '.join(words)}{after}}}"

    def _run(self, signs: dict[str, str]) -> str:
        found = ""
        while self._at < len(self._text) and self._text[self._at] in signs:
            found += signs[self._text[self._at]]
            self._at += 1
        return found

    def _argument(self, of: str) -> str:
        """What an index, an exponent or a root is of: a bracket, or a name with its star or its 'te'."""
        text = self._text
        if text[self._at] == "(":
            end, depth = self._at, 0
            while True:
                depth += {"(": 1, ")": -1}.get(text[end], 0)
                end += 1
                if depth == 0:
                    break
            inner, self._at = text[self._at + 1 : end - 1], end
            return _Reader(inner).all()
        if of == "_":
            name = re.compile(r"\w[0-9]*").match(text, self._at)
        else:
            name = re.compile(r"-?\w(?:\*|ᵗᵉ)?|[∥⊥]").match(text, self._at)
        if name is None:
            raise ValueError(f"{text!r} has nothing after {of}")
        self._at = name.end()
        return _Reader(name[0]).all()
