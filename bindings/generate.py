"""Write what Fortran and Python say of the C interface: its codes, and the interfaces of its functions.

    python bindings/generate.py            # or: make generate

Reads bindings/include (surrogate_codes.def and the headers), and writes the marked parts of surrogate.f90 and
surrogate_mpi.f90 in bindings/fortran, and surrogate/codes.py. A test does the same and compares.
"""

import re
from pathlib import Path

BINDINGS = Path(__file__).resolve().parent
INCLUDE = BINDINGS / "include"
WIDTH = 118

#: rows of surrogate_codes.def: the macro, and the enumeration in Python with the prefix that its members lose
ENUMS = {
    "SURR_RETURN_CODE": ("ReturnCode", "SURR_"),
    "SURR_CELL_STATUS": ("Status", "SURR_CELL_"),
    "SURR_QUANTITY": ("Quantity", "SURR_Q_"),
    "SURR_STAT": ("Stat", "SURR_STAT_"),
    "SURR_PHASE": ("Phase", "SURR_PHASE_"),
}
DOCS = {
    "ReturnCode": "What a function of the engine returns: below 0 nothing was done.",
    "Status": "Status of a cell: below 32 it holds a valid state at the end of the step, else it was left as it was.",
    "Quantity": "What a field of a host holds.",
    "Stat": "What a call counts.",
    "Phase": "Phases of a call whose seconds are told.",
}

#: names of arguments in Fortran where they are not those of C
RENAMED = {("surr_status_name", "code"): "status", ("surr_model_register", "entry"): "entry_point"}
HANDLES = {"surr_model": "model", "surr_plan": "plan", "surr_work": "work"}
#: arguments that C allows to be NULL, and pointers to what may have either type: type(c_ptr) in Fortran
NULLABLE = {"index", "status", "stat", "jacobian", "json", "context"}
NEVER_NULL = {("surr_step_cell", "status")}
READ_AND_WRITTEN = {"q"}
SCALARS = {
    "slot",
    "is_param",
    "n_state",
    "n_param",
    "lower",
    "upper",
    "val",
    "max_error",
    "needed",
    "error",
    "status",
    "imbalance_before",
    "imbalance_after",
    "trust",
    "held",
    "drawn",
}
#: what the headers do not say, as Fortran counts and points otherwise
NOTES = {
    "surr_model_field": ["Fields are counted from 0."],
    "surr_plan_field": ["Slots are counted from 0."],
    "surr_plan_set_fallback": ["advance: c_funloc of a surrogate_fallback, or c_null_funptr."],
    "surr_plan_set_harvest": ["keep: c_funloc of a surrogate_keeper, or c_null_funptr."],
    "surr_step": [
        "base(k) = c_loc(first element of slot k - 1); index: c_loc of integer(c_int32_t) cell numbers, from 1 on",
        "after surr_plan_set_i(plan, 'index_base', 10, 1_c_int64_t); status: c_loc of integer(c_int8_t); stat: c_loc",
        "of integer(c_int64_t).",
    ],
    "surr_queue": [
        "As surr_step. The cells and the status bytes must be targets that stay where they are until the flush."
    ],
}


def codes(text=None):
    """Rows of surrogate_codes.def: {macro: {name: (value, words or None, comment)}}."""
    text = text or (INCLUDE / "surrogate_codes.def").read_text()
    rows = {}
    for macro, name, value, rest, comment in re.findall(
        r"^(SURR_\w+)\((SURR_\w+), (-?\d+)(.*?)\) *(?:/\* (.*?) *\*/)?$", text, re.M
    ):
        words = re.search(r'"(.*)"', rest)
        rows.setdefault(macro, {})[name] = int(value), words and words[1], re.sub(" {2,}", " ", comment)
    return rows


def functions(header):
    """Declarations of a header: {name: [(type, name), ...]}."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    found = {}
    for name, arguments in re.findall(r"SURR_API int32_t (surr_\w+)\((.*?)\);", text, re.S):
        arguments = re.sub(r"[\w ]*\**\(\*(\w+)\)\([^()]*\)", r"function \1", " ".join(arguments.split()))
        split = (re.fullmatch(r"(.*?)(\w+)", one.strip()) for one in arguments.split(","))
        found[name] = [(one[1].strip(), one[2]) for one in split]
    return found


def declaration(function, c_type, name):
    """Type of an argument in Fortran, and whether it is an array."""
    if c_type.endswith("function"):
        return "type(c_funptr), value", ""
    if re.fullmatch(r"(const )?surr_\w+ \*", c_type) or (
        c_type.endswith("*") and name in NULLABLE and (function, name) not in NEVER_NULL
    ):
        return "type(c_ptr), value", ""
    if re.fullmatch(r"surr_\w+ \*\*", c_type):
        return "type(c_ptr), intent(out)", ""
    if c_type == "void *const *":
        return "type(c_ptr), intent(in)", "(*)"
    base = {
        "int32_t": "integer(c_int32_t)",
        "int64_t": "integer(c_int64_t)",
        "double": "real(c_double)",
        "char": "character(kind=c_char)",
    }[re.sub(r"const |[ *]", "", c_type)]
    if not c_type.endswith("*"):
        return f"{base}, value", ""
    intent = "in" if c_type.startswith("const") else "inout" if name in READ_AND_WRITTEN else "out"
    return f"{base}, intent({intent})", "" if name in SCALARS else "(*)"


def fortran_name(function, c_type, name, rename_handles):
    """Name of an argument in Fortran: handles by what they are."""
    handle = re.search(r"(surr_\w+) \*", c_type)
    if rename_handles and handle and handle[1] in HANDLES:
        return HANDLES[handle[1]]
    return RENAMED.get((function, name), "val" if name == "value" else name)


def interface(function, arguments, rename_handles):
    """Lines of the interface of one function."""
    declared = []
    for c_type, name in arguments:
        name = fortran_name(function, c_type, name, rename_handles)
        declared.append((name, *declaration(function, c_type, name)))
    kinds = sorted({k for _, what, _ in declared for k in re.findall(r"c_\w+", what)} | {"c_int32_t"})
    head = f"function {function}({', '.join(name for name, *_ in declared)}) bind(c) result(code)"
    if len(head) > WIDTH - 4:
        head = head.replace(" bind(c)", " &\n        bind(c)")
    lines = [*(f"!> {note}" for note in NOTES.get(function, ())), head, f"  import :: {', '.join(kinds)}"]
    groups = []
    for name, what, shape in declared:
        if groups and groups[-1][0] == what:
            groups[-1][1].append(name + shape)
        else:
            groups.append((what, [name + shape]))
    lines += [f"  {what} :: {', '.join(names)}" for what, names in groups]
    return [*lines, "  integer(c_int32_t) :: code", "end function", ""]


def wrapped(head, items):
    """`head` and the items of a list, cut into lines of Fortran."""
    lines, line = [], head
    for i, item in enumerate(items):
        piece = item + ("," if i < len(items) - 1 else "")
        if len(line) + len(piece) + 3 > WIDTH:
            lines.append(line + " &")
            line = "   "
        line += " " + piece
    return [*lines, line]


def fortran_codes(rows, header):
    """Parameters of the module: one statement for each list of codes."""
    abi = dict(re.findall(r"(SURR_ABI_\w+) = (\d+)", header))
    lists = [abi.items(), *([(n, v) for n, (v, *_) in rows[macro].items()] for macro in rows)]
    lines = []
    for pairs in lists:
        lines += wrapped("integer(c_int32_t), parameter, public ::", [f"{n} = {v}" for n, v in pairs])
    return lines


def fill(text, part, lines):
    """`text` of a Fortran module with the marked part replaced."""
    begin, end = f"  ! >>> {part}: written by bindings/generate.py, do not edit\n", f"  ! <<< {part}\n"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    body = "".join(f"  {line}\n" if line and not line.startswith(" " * 8) else f"{line}\n" for line in lines)
    return before + begin + body.rstrip("\n") + "\n" + end + after


def module(path, header, rows, rename_handles):
    """Text of a Fortran module with codes and interfaces written anew."""
    text = path.read_text()
    found = functions(header)
    lines = [line for name, arguments in found.items() for line in interface(name, arguments, rename_handles)]
    inside = [f"  {line}" if line and not line.startswith(" " * 8) else line for line in lines]
    text = fill(text, "interfaces", ["interface", *inside[:-1], "end interface"])
    text = fill(text, "functions", wrapped("public ::", list(found)))
    return fill(text, "codes", fortran_codes(rows, header)) if rows else text


def python_codes(rows):
    """Text of surrogate/codes.py."""
    lines = [
        '"""Codes of the engine as enumerations; written by bindings/generate.py, do not edit."""',
        "",
        "from enum import IntEnum",
        "",
    ]
    for macro, (name, prefix) in ENUMS.items():
        lines += ["", f"class {name}(IntEnum):", f'    """{DOCS[name]}"""', ""]
        for code, (value, _, comment) in rows[macro].items():
            note = f"  #: {comment}" if comment else ""
            lines.append(f"    {code.removeprefix(prefix)} = {value}{note}")
        lines.append("")
    words = {v: w for v, w, _ in rows["SURR_CELL_STATUS"].values()}
    phases = [w for _, w, _ in rows["SURR_PHASE"].values()]
    lines += ["", "#: status of a cell in words", "STATUS_WORDS = {"]
    lines += [f'    {value}: "{text}",' for value, text in words.items()]
    lines += [
        "}",
        "#: phases of a call, in their order",
        f"PHASES = ({', '.join(chr(34) + p + chr(34) for p in phases)})",
    ]
    return "\n".join(lines) + "\n"


def outputs():
    """All files that are written: {path: text}."""
    rows = codes()
    header, mpi_header = ((INCLUDE / name).read_text() for name in ("surrogate.h", "surrogate_mpi.h"))
    fortran = BINDINGS / "fortran"
    return {
        fortran / "surrogate.f90": module(fortran / "surrogate.f90", header, rows, True),
        fortran / "surrogate_mpi.f90": module(fortran / "surrogate_mpi.f90", mpi_header, None, False),
        BINDINGS.parent / "surrogate" / "codes.py": python_codes(rows),
    }


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text)
