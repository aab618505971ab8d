#!/usr/bin/env python3
"""Reads LaTeX with rlkd and compares what it says with SymPy texts of the same meaning.

    pip install sympy
    scripts/latex_sympy.py target/release/rlkd data/latex_to_sympy.jsonl

The file has a "latex" and a "sympy" column. `rlkd verify --explain` prints what it read in SymPy's syntax; both texts
become SymPy expressions, and these are compared: sets and words by their parts, all else by exact simplification or
else by 30 digits at three random points. Prints one line for each that is not read or is something else, and the shares.
"""

import argparse
import json
import random
import re
import subprocess
import sys

import sympy
from sympy import FiniteSet, Integer, Interval, Rational, S, Symbol, Tuple
from sympy.parsing.sympy_parser import parse_expr

LETTERS = {"e": sympy.E, "i": sympy.I}
NAMES = {name: Symbol(name) for name in "abcdfghjklmnopqrstuvwxyzABCDFGHJKLMNOPQRTUVWXYZ"}
NAMES.update({name: Symbol(name) for name in "alpha beta gamma theta epsilon varepsilon".split()})


def divisor(name, of_integers):
    """A gcd or lcm: of rationals too; of what is no number it is a function without a value, of one list."""
    function = sympy.Function(name)

    def call(*args):
        args = [sympy.sympify(a) for a in args]
        args = [part for a in args for part in (a.args if a.func == function else [a])]
        if all(a.is_Rational for a in args):
            bottom = sympy.ilcm(*[a.q for a in args], 1)
            return Rational(of_integers(*[int(a * bottom) for a in args]), bottom)
        return function(*sorted(args, key=str))

    return call


gcd = divisor("gcd", lambda *args: sympy.igcd(*args, 0))
lcm = divisor("lcm", lambda *args: sympy.ilcm(*args, 1))


def number(text):
    """Exactly what is written."""
    return Rational(str(text))


def plus_minus(a, b):
    return FiniteSet(a - b, a + b)


def relation(op, a, b):
    if op in "⊆⊇":
        a, b = (side if isinstance(side, sympy.Set) else FiniteSet(side) for side in (a, b))
        return a.is_subset(b) if op == "⊆" else b.is_subset(a)
    return Tuple(Symbol(op), a, b)


OURS = {
    **NAMES,
    "percent": Rational(1, 100), "degree": sympy.pi / 180, "EmptySet": S.EmptySet,
    "PlusMinus": plus_minus, "Relation": relation, "gcd": gcd, "lcm": lcm,
    "Contains": lambda a, b: relation("in", a, b), "Eq": lambda a, b: relation("=", a, b), "i": Symbol("i"),
    "real_root": sympy.real_root,
}


def theirs():
    plain = {name: getattr(sympy, name) for name in dir(sympy) if not name.startswith("_")}

    def is_in(a, b, evaluate=False):
        return relation("in" if isinstance(b, sympy.Set) else "=", a, b)

    def no_relation(a, evaluate=False):
        return relation("∉", *a.args[1:])

    return {
        **plain, **NAMES, "gcd": gcd, "lcm": lcm, "igcd": gcd, "ilcm": lcm, "Eq": is_in, "Not": no_relation,
        "Float": number, "Number": number, "i": Symbol("i"), "varepsilon": Symbol("varepsilon"),
        "_Add": lambda a, b: sympy.Add(a, b), "_Mul": lambda a, b: sympy.Mul(a, b),
        "_Pow": lambda a, b: sympy.Pow(a, b), "UnevaluatedExpr": lambda a: a,
        "epsilon_lower": Symbol("epsilon"), "I": sympy.I, "E": sympy.E,
    }


THEIRS = theirs()
SETS = {"R": S.Reals, "N": S.Naturals, "Z": S.Integers, "Q": S.Rationals, "C": S.Complexes}


def plain(value):
    """One form for what both write in two ways."""
    if isinstance(value, str):
        word = re.sub(r"[^A-Za-z]", "", value.replace("mathbb", ""))
        return SETS.get(word, Symbol(value))
    if isinstance(value, (list, set)):
        return FiniteSet(*map(plain, value))
    if isinstance(value, tuple):
        return Tuple(*map(plain, value))
    return value if value is True or value is False else sympy.sympify(value)


def evaluated(a):
    """A set with its operations done, which SymPy's texts ask it not to do; decimals as fractions."""
    a = a.func(*map(evaluated, a.args)) if isinstance(a, (sympy.Union, sympy.Intersection, sympy.Complement)) else a
    return FiniteSet(*(sympy.nsimplify(item.doit(), rational=True) for item in a)) if isinstance(a, FiniteSet) else a


def same(a, b):
    if a is True or b is True:
        return a is b
    a, b = evaluated(a), evaluated(b)
    if isinstance(a, Tuple) and len(a) == 2 and isinstance(b, Interval):
        return same(a, Tuple(b.start, b.end)) and b.left_open and b.right_open
    if isinstance(a, FiniteSet) != isinstance(b, FiniteSet):
        # One thing alone is a set of it; two with commas between them are one.
        if isinstance(a, FiniteSet) and len(a) == 1:
            return same(a.args[0], b)
        if isinstance(b, FiniteSet) and len(b) == 1:
            return same(a, b.args[0])
        if isinstance(a, Tuple) and isinstance(b, FiniteSet):
            return same(FiniteSet(*a), b)
    if isinstance(a, sympy.Set) or isinstance(b, sympy.Set):
        if not (isinstance(a, sympy.Set) and isinstance(b, sympy.Set)):
            return False
        return a == b
    if isinstance(a, Tuple) or isinstance(b, Tuple):
        return isinstance(a, Tuple) and isinstance(b, Tuple) and len(a) == len(b) and all(map(same, a, b))
    if a == b:
        return True
    names = sorted(a.free_symbols | b.free_symbols, key=str)
    draw = random.Random(7)
    for _ in range(3):
        at = {name: Rational(draw.randint(100, 900), 97) for name in names}
        x, y = (sympy.N(side.subs(at).doit(), 30) for side in (a, b))
        if not (x.is_number and y.is_number):
            return False
        # SymPy's own floats have 15 digits.
        if x != y and not abs(x - y) <= 1e-9 * max(abs(x), abs(y)):
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rlkd")
    parser.add_argument("data")
    args = parser.parse_args()
    cases = [json.loads(line) for line in open(args.data, encoding="utf-8")]
    command = [args.rlkd, "verify", "--file", args.data, "--gold", "latex", "--pred", "latex", "--json", "--explain"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    read = right = 0
    for number, (case, line) in enumerate(zip(cases, lines, strict=True), 1):
        ours = json.loads(line)["gold_read"]
        why = "not read"
        if ours is not None:
            read += 1
            try:
                # Strings keep e and i as they print: E and I.
                a = plain(parse_expr(ours, local_dict=OURS))
                b = plain(eval(case["sympy"], {}, THEIRS))
                if same(a, b):
                    right += 1
                    continue
                why = f"read as {ours}"
            except Exception as error:
                why = f"read as {ours}: {type(error).__name__}: {error}"
        print(f"{number}: {case['latex']}: {why}; should be {case['sympy']}")
    total = len(cases)
    print(f"{read} of {total} read ({read / total:.1%}), {right} the same ({right / total:.1%})")
    return 0 if right >= 0.95 * total else 1


if __name__ == "__main__":
    sys.exit(main())
