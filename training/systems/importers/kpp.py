"""Mechanisms of KPP (Damian et al. 2002; Sandu & Sander 2006): species, equations, rates and initial values.

Rates may call the functions in `TEMPLATES`; temperature is T [K], and what the host sets (``SUN``, ``J(...)``, fixed
species) becomes a parameter. Numbers are doubles here, whatever the precision of their Fortran literals. Lumped species
need not conserve atoms: nothing is declared, and what is conserved is found from the equations.
"""

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

from .fortran import expression, names_in
from .lines import Line, add_parameters, lines_of, parameter_values

FORMAT = "kpp"
HELP = "a mechanism of KPP (.kpp, .def or .eqn, with what it includes)"
#: functions of KPP's UserRateLaws and of GEOS-Chem, in their arguments and M, the air's density [molecules/cm^3]
TEMPLATES = {
    "arr": (3, "({0})*exp(-({1})/T)*(T/300)**({2})"),
    "arr_abc": (3, "({0})*exp(-({1})/T)*(T/300)**({2})"),
    "arr_ab": (2, "({0})*exp(-({1})/T)"),
    "arr_ac": (2, "({0})*(T/300)**({1})"),
    "ep2": (6, "(({0})*exp(-({1})/T) + ({4})*exp(-({5})/T)*{M}/(1 + ({4})*exp(-({5})/T)*{M}/(({2})*exp(-({3})/T))))"),
    "ep3": (4, "(({0})*exp(-({1})/T) + ({2})*exp(-({3})/T)*{M})"),
    "gcarr_abc": (3, "({0})*exp(({2})/T)*(300/T)**({1})"),
    "gcarr_ab": (2, "({0})*(300/T)**({1})"),
    "gcarr_ac": (2, "({0})*exp(({1})/T)"),
}
_K0, _KINF = "({0})*exp(-({1})/T)*(T/300)**({2})*{M}", "({3})*exp(-({4})/T)*(T/300)**({5})"
TEMPLATES["fall"] = (7, f"({_K0}/(1 + {_K0}/({_KINF}))*({{6}})**(1/(1 + log10({_K0}/({_KINF}))**2)))")
FUNCTIONS = ("exp", "log", "log10", "sqrt", "min", "max", "abs")
DUMMIES = ("HV", "PROD")
#: directives that say how KPP is to write its program
NO_MEANING = (
    *("language", "integrator", "intfile", "driver", "hessian", "stoicmat", "jacobian", "double", "monitor", "lookat"),
    *("atoms", "check", "checkall", "lookatall", "function", "reorder", "eqntags", "dummyindex", "minversion", "mex"),
    *("uppercasef90", "declare", "autoreduce", "graph", "transport", "transportall"),
)
SECTIONS = ("defvar", "deffix", "equations", "initvalues")
_TERM = re.compile(r"([+-]?)\s*(\d+\.?\d*(?:[eEdD][+-]?\d+)?|\.\d+)?\s*\*?\s*([A-Za-z]\w*)")


def add_options(parser: Any) -> None:
    """Options of ``surrogate import kpp``."""
    parser.add_argument("file", metavar="FILE")
    add_parameters(parser, "what the host sets")


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """A mechanism as a network of our own format, and a head for its file; ValueError with file, line and text."""
    reader = _Reader()
    reader.read(options.file)
    network = reader.network(parameter_values(options.param))
    return network, (
        f"{options.file}: densities in molecules/cm^3 at the T that you give, numbers as doubles (KPP's Fortran reads "
        "literals without d0 in single precision)."
    )


class _Statement(NamedTuple):
    section: str
    line: Line


class _Reader:
    def __init__(self):
        self.variables, self.fixed, self.values, self.cfactor = {}, {}, {}, 1.0
        self.definitions, self.equations, self.inline = {}, [], ""

    def read(self, path):
        """A file and what it includes, in order."""
        section, pending = "", None
        for line in _without_comments(lines_of(str(path))):
            text = line.text.strip()
            if self.inline and not text.lower().startswith("#endinline"):
                self._inline(line)
            elif text.startswith("#"):
                section, text = self._directive(line)
                pending = line._replace(text=text) if text and section else None
            elif text and section:
                pending = line if pending is None else pending._replace(text=f"{pending.text} {text}")
            while pending is not None and ";" in pending.text:
                first, rest = pending.text.split(";", 1)
                self._statement(section, pending._replace(text=first))
                pending = pending._replace(text=rest) if rest.strip() else None
        if pending is not None:
            raise pending.refuse("this is never ended by ;")

    def _directive(self, line):
        """The section that begins here, and what follows on the same line."""
        word, _, rest = line.text.strip()[1:].partition(" ")
        word, rest = word.lower(), rest.strip()
        if word in SECTIONS:
            return word, rest
        if word in ("include", "model"):
            self._include(rest, word, line)
        elif word == "inline":
            self.inline = rest.upper()
        elif word == "endinline":
            self.inline = ""
        elif word not in NO_MEANING:
            raise line.refuse(f"the directive #{word} is not read")
        return "", ""

    def _include(self, name, word, line):
        path = Path(line.file).parent / (name if word == "include" else f"{name}.def")
        if path.is_file():
            self.read(path)
        elif not name.lower().startswith("atoms"):  # KPP's own list of atoms, which nothing here needs
            raise line.refuse(f"there is no file {path}")

    def _inline(self, line):
        """Assignments of constants are definitions; other code is refused where it could change a rate."""
        text = line.text.split("!")[0].strip()
        if not self.inline.endswith(("RCONST", "RATES")) or not text:
            return
        found = re.fullmatch(r"([A-Za-z]\w*)\s*=\s*(.+)", text)
        if not found or self.inline.endswith("RATES"):
            raise line.refuse(f"code in #INLINE {self.inline} is not read, assignments to constants aside")
        self.definitions[found[1].lower()] = (line, self._rate(found[2], line))

    def _statement(self, section, line):
        text = line.text.strip()
        if section in ("defvar", "deffix"):
            name = text.partition("=")[0].strip()
            (self.variables if section == "defvar" else self.fixed)[name] = line
        elif section == "initvalues":
            name, equals, value = (part.strip() for part in text.partition("="))
            try:
                number = float(re.sub("[dD]", "e", value))
            except ValueError:
                raise line.refuse("an initial value is NAME = NUMBER") from None
            if name.upper() == "CFACTOR":
                self.cfactor = number
            else:
                self.values[name] = number
        elif text:
            self.equations.append(self._equation(line._replace(text=text)))

    def _equation(self, line):
        text = re.sub(r"^<[^>]*>", "", line.text).strip()
        equation, colon, rate = text.partition(":")
        if not colon or equation.count("=") != 1:
            raise line.refuse("an equation is A + B = C + D : RATE")
        left, right = (self._side(side, line) for side in equation.split("="))
        return left, right, rate.strip(), line

    def _side(self, text, line):
        amounts, at, text = {}, 0, text.strip()
        while at < len(text):
            found = _TERM.match(text, at)
            if not found or (at and not found[1]):
                raise line.refuse(f"{text[at:][:40]!r} is no species with a coefficient")
            at = found.end() + len(text[found.end() :]) - len(text[found.end() :].lstrip())
            if found[3].upper() not in DUMMIES:
                coefficient = float(re.sub("[dD]", "e", found[2] or "1")) * (-1 if found[1] == "-" else 1)
                amounts[found[3]] = amounts.get(found[3], 0.0) + coefficient
        return amounts

    def _rate(self, text, line):
        """A rate in our own syntax, functions written out, densities by name."""
        text = re.sub(r"\b(J|PHOTOL)\s*\(\s*(\w+)\s*\)", r"\1_\2", text, flags=re.IGNORECASE)
        text = re.sub(r"\bC\s*\(\s*ind_(\w+)\s*\)", r"density_of_\1", text, flags=re.IGNORECASE)
        tree = ast.parse(re.sub(r"\btemp\b", "T", expression(text, line.refuse)), mode="eval")
        text = ast.unparse(_Functions(line, repr(self.cfactor * 1e6)).visit(tree))
        for name in names_in(text):
            if name.startswith("density_of_"):
                text = re.sub(rf"\b{name}\b", self._density(name[len("density_of_") :], line), text)
        return text

    def _density(self, name, line):
        for known in (*self.variables, *self.fixed):
            if known.lower() == name:
                return f"n_{known}" if known in self.variables else known
        raise line.refuse(f"there is no species {name}")

    def network(self, values):
        """The form of our own files."""
        species = [self._species(name) for name in self.variables]
        parameters = {name: self._parameter(name, values, line) for name, line in self.fixed.items()}
        known = {"T", *FUNCTIONS, *parameters, *(f"n_{name}" for name in self.variables)}
        definitions = []
        for name, (line, text) in self.definitions.items():
            self._host_sets(text, known, values, parameters, line)
            definitions.append({name: text})
            known.add(name)
        reactions = []
        for k, (left, right, text, line) in enumerate(self.equations, 1):
            rate = self._rate(text, line)
            self._host_sets(rate, known, values, parameters, line)
            reactions.append({"id": f"R{k}", **self._entry(left, right, line), "rate": rate})
            fixed = [name for name in left if name in self.fixed]
            for name in fixed:
                reactions[-1]["rate"] = f"({reactions[-1]['rate']})*{name}" + (
                    f"**{left[name]:g}" if left[name] != 1 else ""
                )
        return {
            "temperature": {"floor": 100.0, "upper": 1000.0, "sample": [180.0, 320.0], "initial": 298.15},
            "species_range": {"upper": 1e20, "sample": [1e2, 1e13]},
            "species": species,
            "parameters": parameters,
            "definitions": definitions,
            "reactions": reactions,
        }

    def _species(self, name):
        value = self.values.get(name, self.values.get("VAR_SPEC", self.values.get("ALL_SPEC", 0.0)))
        return {"name": name, "mass": None, "initial": value * self.cfactor}

    def _parameter(self, name, values, line):
        given = self.values.get(name, self.values.get("FIX_SPEC", self.values.get("ALL_SPEC")))
        value = values.get(name, None if given is None else given * self.cfactor)
        if value is None:
            raise line.refuse(f"the host sets {name}, so there is no value here: give one with --param {name}=VALUE")
        return {"value": value, "lower": min(0.0, value), "upper": 1e300}

    def _host_sets(self, text, known, values, parameters, line):
        """What is neither a function nor defined is the host's: a parameter, if there is a value for it."""
        called = {node.func.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Call)}
        for name in sorted(names_in(text) - known):
            if name in called:
                raise line.refuse(f"the function {name} is not read; known are {', '.join((*TEMPLATES, *FUNCTIONS))}")
            lower = {key.lower(): value for key, value in values.items()}
            if name not in lower:
                raise line.refuse(
                    f"the host sets {name}, so there is no value here: give one with --param {name}=VALUE"
                )
            parameters[name] = {"value": lower[name], "lower": min(0.0, lower[name]), "upper": 1e300}
            known.add(name)

    def _entry(self, left, right, line):
        """Equation and orders; a negative product is consumed and not in the rate."""
        for name in (*left, *right):
            if name not in self.variables and name not in self.fixed:
                raise line.refuse(f"{name} is neither in #DEFVAR nor in #DEFFIX")
        orders = {name: c for name, c in left.items() if name in self.variables}
        before, after = dict(orders), {}
        for name, c in right.items():
            if name in self.variables:
                side = after if c >= 0 else before
                side[name] = side.get(name, 0.0) + abs(c)
        sides = (
            " + ".join(f"{c:g} {name}" if c != 1 else name for name, c in side.items()) or "0"
            for side in (before, after)
        )
        entry = {"equation": " -> ".join(sides)}
        if before != orders:
            entry["orders"] = {name: orders.get(name, 0.0) for name in before}
        return entry


class _Functions(ast.NodeTransformer):
    """Writes out calls of `TEMPLATES`."""

    def __init__(self, line, air):
        self.line, self.air = line, air

    def visit_Call(self, node):
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in TEMPLATES:
            return node
        n, template = TEMPLATES[name]
        if len(node.args) != n:
            raise self.line.refuse(f"{name} takes {n} arguments, not {len(node.args)}")
        return ast.parse(template.format(*map(ast.unparse, node.args), M=self.air), mode="eval").body


def _without_comments(lines):
    """Lines without ``{...}``, which may go over several, and ``// ...``."""
    inside = False
    for line in lines:
        kept = ""
        for part in re.split(r"([{}])", line.text):
            if part in "{}" and part:
                inside = part == "{"
            elif not inside:
                kept += part
        yield line._replace(text=kept.split("//")[0])
