"""Network files of KROME (Grassi et al. 2014, MNRAS 439, 2386): chemistry at given temperature.

The format is described in KROME's documentation; what this reader takes, and what it refuses, is in the tables below.
Heating and cooling are options of KROME's command line: write a section ``thermal`` into the result.
"""

import re
from typing import Any

from .fortran import expression, names_in, split_arguments
from .lines import Line, add_parameters, lines_of, parameter_values
from .names import ELECTRONS, species_entry

FORMAT = "krome"
HELP = "a network file of KROME"
#: names that KROME defines where they are used
KNOWN = {
    **{"logt": "log10(T)", "lnt": "log(T)", "te": "T*8.617343e-5", "lnte": "log(T*8.617343e-5)", "t32": "T/300"},
    **{"t3": "T/300", "t4": "T/1e4", "invt": "1/T", "invtgas": "1/T", "invt32": "300/T", "invte": "1/(T*8.617343e-5)"},
    **{"sqrtgas": "sqrt(T)", "invsqrt": "1/sqrt(T)", "invsqrt32": "sqrt(300/T)", "sqrt32": "sqrt(T/300)"},
    **{f"tgas{n}": f"T**{n}" for n in (2, 3, 4)},
    **{"t0": "288", "t02": "288**2", "t03": "288**3", "t04": "288**4", "t0inv": "1/288"},
}
#: functions of our own that a rate may call; those of KROME's library are refused by name
FUNCTIONS = ("exp", "log", "log10", "sqrt", "min", "max", "abs", "sin", "cos", "tanh")
#: directives without a meaning here: when a rate is evaluated, or tabulated
NO_MEANING = ("notabnext", "notab_start", "notab_stop", "storeonce_start", "storeonce_stop", "cr_start", "cr_stop")
NO_LIMIT = ("", "NONE", "N", "N/A", "NO")
LIMITS = {".LE.": "<=", ".GE.": ">=", ".LT.": "<", ".GT.": ">", "<=": "<=", ">=": ">=", "<": "<", ">": ">"}
DEFAULT_FORMAT = "idx,R,R,R,P,P,P,P,Tmin,Tmax,rate"


def add_options(parser: Any) -> None:
    """Options of ``surrogate import krome``."""
    parser.add_argument("file", metavar="FILE")
    add_parameters(parser, "a variable of @common")
    parser.add_argument("--nuclear-mult", action="store_true", help="divide rates of n identical reactants by n!")


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """A file as a network of our own format, and a head for its file; ValueError with file, line and text."""
    reader = _Reader(options.nuclear_mult)
    for line in _without_comments(lines_of(options.file)):
        reader.read(line)
    network = reader.network(parameter_values(options.param))
    photo = " Photo-rates [1/s] are parameters, 0 until you set them." if reader.photo else ""
    return network, f"{options.file}: densities in cm^-3 at the temperature that you give.{photo}"


def _without_comments(lines):
    inside = False
    for line in lines:
        text = line.text
        if inside:
            inside = "*/" not in text
            text = text.split("*/", 1)[1] if not inside else ""
        if "/*" in text:
            text, rest = text.split("/*", 1)
            inside = "*/" not in rest
        if text.strip() and not text.lstrip().startswith(("#", "//")):
            yield line._replace(text=text)


class _Reader:
    """Reads lines in order, since formats and variables hold from where they stand."""

    def __init__(self, nuclear_mult):
        self.nuclear_mult = nuclear_mult
        self.format, self.in_photo, self.photo = DEFAULT_FORMAT.lower().split(","), False, []
        self.species, self.definitions, self.used, self.common = {}, {}, set(), {}
        self.reactions, self.lines = [], []

    def read(self, line: Line):
        """A directive or a reaction."""
        text = line.text.strip()
        if not text.startswith("@"):
            return self._reaction(line)
        word, _, rest = text[1:].partition(":")
        word, rest = word.strip().lower(), rest.strip()
        if word == "format":
            self.format = [token.strip().lower() for token in rest.split(",")]
            unknown = {*self.format} - {"idx", "r", "p", "tmin", "tmax", "rate", "k"}
            if unknown or not {"rate", "k"} & {*self.format}:
                raise line.refuse(f"columns {', '.join(sorted(unknown)) or 'without a rate'} are not read")
        elif word == "var":
            self._variable(line, rest)
        elif word == "common":
            self.common |= {name.strip().lower(): line for name in rest.split(",") if name.strip()}
        elif word in ("photo_start", "photo_stop"):
            self.in_photo = word == "photo_start"
        elif word == "ghost":
            self._species(rest, line)
        elif word not in NO_MEANING:
            raise line.refuse(f"the directive @{word} is not read")
        return None

    def _variable(self, line, rest):
        name, equals, value = rest.partition("=")
        name = name.strip().lower()
        if not equals or not re.fullmatch(r"[a-z]\w*", name):
            raise line.refuse("a variable is NAME=EXPRESSION, without an index")
        if name in self.definitions:
            raise line.refuse(f"{name} is defined twice")
        self.definitions[name] = (line, self._expression(_cut_comment(value), line))

    def _expression(self, text, line):
        """Fortran to our own syntax, with densities by name."""
        text = re.sub(r"get_hnuclei\s*\(\s*n\s*\(\s*:?\s*\)\s*\)", "n_hnuclei", text, flags=re.IGNORECASE)
        text = re.sub(r"sum\s*\(\s*n\s*\(\s*(1\s*:\s*nmols)?:?\s*\)\s*\)", "n_all", text, flags=re.IGNORECASE)
        text = re.sub(r"\bn\s*\(\s*idx_(\w+)\s*\)", lambda m: f"density_of_{m[1]}", text, flags=re.IGNORECASE)
        if re.search(r"\b[nk]\s*\(", text, flags=re.IGNORECASE):
            raise line.refuse("an element of n or k by number depends on KROME's order: write n(idx_NAME)")
        text = re.sub(r"\btgas\b", "T", expression(text, line.refuse))
        for name in sorted(names_in(text) - {"T"}):
            if name.startswith("density_of_"):
                species = name[len("density_of_") :].upper()
                species = re.sub(r"(?<=.)[JK]+$", lambda m: m[0].replace("J", "+").replace("K", "-"), species)
                text = re.sub(rf"\b{name}\b", _symbol(self._species(species, line)), text)
            elif name in KNOWN and name not in self.definitions:
                self.used.add(name)
            elif name in ("n_hnuclei", "n_all"):
                self.used.add(name)
        return text

    def _species(self, name, line):
        """The name of a species, in capitals; None for a photon."""
        name = name.strip().upper()
        name = "E" if name in ELECTRONS else name
        if name in ("", "G"):
            return None
        if name not in self.species:
            self.species[name] = species_entry(name, f"{line.file}, line {line.number}")
        return name

    def _reaction(self, line):
        columns = [column.strip() for column in line.text.split(",", len(self.format) - 1)]
        if len(columns) != len(self.format):
            raise line.refuse(f"{len(columns)} columns, but the format is {','.join(self.format)}")
        found = {kind: [c for token, c in zip(self.format, columns) if token == kind] for kind in {*self.format}}
        sides = [], []
        orders = {}
        for side, kind in zip(sides, ("r", "p")):
            for name in found.get(kind, ()):
                curly = re.fullmatch(r"\{(.*)\}", name)
                name = self._species(curly[1] if curly else name, line)
                if name is not None:
                    side.append(name)
                    if curly:
                        orders[name] = orders.get(name, 0) - 1
        key = f"R{len(self.reactions) + 1}"
        equation = " -> ".join(" + ".join(side) or "0" for side in sides)
        entry: dict[str, Any] = {"id": key, "equation": equation}
        if orders:
            entry["orders"] = {name: sides[0].count(name) + less for name, less in orders.items()}
        text = _cut_comment((found.get("rate") or found["k"])[0])
        if self.in_photo:
            self.photo.append(f"photo_{key}")
            self.reactions.append({**entry, "rate": self.photo[-1], "note": f"cross-section {text}"})
            return
        self.reactions.append({**entry, "rate": self._rate(text, found, sides[0], line)})
        self.lines.append((line, self.reactions[-1]["rate"]))

    def _rate(self, text, found, reactants, line):
        """Text, or pieces where there are limits or conditions."""
        conditions, rest = [], text
        if condition := re.match(r"if\s*\((.*?)\)\s*:(.*)", text, flags=re.IGNORECASE | re.DOTALL):
            conditions.append(self._condition(condition[1], line))
            rest = condition[2]
        pieces = None
        if merged := re.fullmatch(r"merge\s*\((.*)\)", rest.strip(), flags=re.IGNORECASE):
            parts = split_arguments(merged[1])
            if len(parts) != 3:
                raise line.refuse("merge takes two values and a condition")
            when = self._condition(parts[2], line)
            pieces = [(when, self._expression(parts[0], line)), (None, self._expression(parts[1], line))]
        for kind, usual in (("tmin", ">="), ("tmax", "<")):
            for limit in found.get(kind, ()):
                if limit.upper() not in NO_LIMIT:
                    conditions.append(self._limit(limit, usual, line))
        same = {name: reactants.count(name) for name in reactants}
        factor = 1
        for n in same.values() if self.nuclear_mult else ():
            for k in range(2, n + 1):
                factor *= k
        pieces = pieces or [(None, self._expression(rest, line))]
        pieces = [(when, expr if factor == 1 else f"({expr})/{factor}") for when, expr in pieces]
        if not conditions and pieces[0][0] is None:
            return pieces[0][1]
        whens = [[*conditions, *([when] if when else [])] for when, _ in pieces]
        return [{"when": " & ".join(when) or "T > 0", "expr": expr} for when, (_, expr) in zip(whens, pieces)]

    def _limit(self, text, usual, line):
        operator, number = usual, text.upper()
        for sign, meaning in LIMITS.items():
            if number.startswith(sign):
                operator, number = meaning, number[len(sign) :]
                break
        return f"(T {operator} {self._expression(number, line)})"

    def _condition(self, text, line):
        parts = self._expression(text, line).split("&")
        if any(part.count("(") != part.count(")") or len(re.findall(r"[<>]", part)) != 1 for part in parts):
            raise line.refuse("a condition is a comparison, or several that are joined by .and.")
        return " & ".join(f"({part.strip()})" for part in parts)

    def network(self, values):
        """The form of our own files."""
        definitions = [{name: KNOWN[name]} for name in KNOWN if name in self.used]
        nuclei = {name: s["H"] for name, s in self.species.items() if "H" in s}
        if "n_hnuclei" in self.used:
            definitions.append({"n_hnuclei": " + ".join(f"{n}*{_symbol(s)}" for s, n in nuclei.items()) or "0"})
        if "n_all" in self.used:
            definitions.append({"n_all": " + ".join(map(_symbol, self.species))})
        known = {"T", *FUNCTIONS, *self.used, *map(_symbol, self.species), *self.common}
        for name, (line, text) in self.definitions.items():
            self._check(text, known, line)
            known.add(name)
            definitions.append({name: text})
        for line, rate in self.lines:
            for text in (rate,) if isinstance(rate, str) else (piece["expr"] for piece in rate):
                self._check(text, known, line)
        for name, line in self.common.items():
            if name not in {k.lower() for k in values}:
                raise line.refuse(
                    f"the host sets {name}, so there is no value here: give one with --param {name}=VALUE"
                )
        values = {k.lower(): v for k, v in values.items()}
        parameters = {k: {"value": values[k], "lower": min(0.0, values[k]), "upper": 1e300} for k in self.common}
        parameters |= {k: {"value": 0.0, "unit": "1/s", "lower": 0.0, "upper": 1e10} for k in self.photo}
        return {
            "temperature": {"floor": 2.73, "upper": 1e9},
            "species": [*self.species.values()],
            "parameters": parameters,
            "definitions": definitions,
            "reactions": self.reactions,
        }

    @staticmethod
    def _check(text, known, line):
        if unknown := sorted(names_in(text) - known):
            raise line.refuse(f"{unknown[0]!r} is neither a variable of the file nor a function that is read here")


def _symbol(species):
    return "n_" + species.replace("+", "p").replace("-", "m").replace("(", "_").replace(")", "_")


def _cut_comment(text):
    return re.split(r"[!#]", text)[0].strip()
