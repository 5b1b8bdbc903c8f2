"""What a model writes in LaTeX, as a voice can say it: `\\frac{1}{2}` is 1/2, `\\times` is \u00d7, `x^2` is x\u00b2."""

from __future__ import annotations

import regex

_BRACED = r"\{([^{}\n]{0,120})\}"
FRACTION = rf"\\[dtc]?frac\s?{_BRACED}\s?{_BRACED}"
ROOT = rf"\\sqrt{_BRACED}"
UPRIGHT = rf"\\(?:text(?:bf|it|rm|tt)?|math(?:bf|it|rm|bb|cal|sf)|operatorname|boxed|bm)\*?{_BRACED}"
SQUARE = r"(?<=[\w)])\^(?:\{([23])\}|([23])(?=[^\d.^]))"
INLINE = r"\$(?=[A-Za-z\\(])([^$\n]{1,80})(?<!\s)\$(?=\W)"  # not $5, and not $AAPL

_SIGNS = {
    **{"times": "\u00d7", "cdot": "\u00b7", "div": "\u00f7", "pm": "\u00b1", "infty": "\u221e", "circ": "\u00b0"},
    **{"le": "\u2264", "leq": "\u2264", "ge": "\u2265", "geq": "\u2265", "ne": "\u2260", "neq": "\u2260"},
    **{"approx": "\u2248", "to": "\u2192", "rightarrow": "\u2192", "ldots": "...", "dots": "...", "degree": "\u00b0"},
}
_WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega Gamma "
    "Delta Theta Lambda Xi Pi Sigma Phi Psi Omega sum int lim log ln exp sin cos tan min max"
)
_SILENT = "left right quad qquad displaystyle big Big"
_SAID = {**_SIGNS, **{word: word for word in _WORDS.split()}, **dict.fromkeys(_SILENT.split(), "")}
COMMAND = rf"\\({'|'.join(sorted(_SAID, key=len, reverse=True))})(?=[^A-Za-z])"


def command(match: regex.Match[str]) -> str:
    return _SAID[match[1]]


def square(match: regex.Match[str]) -> str:
    return "\u00b2" if (match[1] or match[2]) == "2" else "\u00b3"
