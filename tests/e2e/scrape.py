#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Reads a scrape as strictly as the formats are written, and tells of what is in it.

  scrape.py [--openmetrics] FILE...       ends with 1 and says why if one is not as it should be; no series twice in all
  scrape.py --value SERIES FILE...        the value of 'name{label="value",...}' (labels in any order)
  scrape.py --count FILE...               how many series
  scrape.py --rising BEFORE AFTER         no counter that is in both has fallen; all of BEFORE's are in AFTER

Labels come out as they were before they were escaped.
"""
import re
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN)$")
SUFFIXES = {"counter": ("",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}


class Wrong(Exception):
    pass


def unescape(value):
    return re.sub(r'\\(["\\n])', lambda m: "\n" if m[1] == "n" else m[1], value)


def parse_series(text):
    """name, sorted labels, rest of the line."""
    name = NAME.match(text)
    if not name:
        raise Wrong(f"no name: {text!r}")
    at = name.end()
    labels = []
    if text[at:at + 1] == "{":
        at += 1
        while text[at] != "}":
            label = LABEL.match(text, at)
            if not label:
                raise Wrong(f"bad label: {text!r}")
            labels.append((label[1], unescape(label[2])))
            at = label.end()
            if text[at] == ",":
                at += 1
        at += 1
    if len({label for label, _ in labels}) != len(labels):
        raise Wrong(f"a label twice: {text!r}")
    return name[0], tuple(sorted(labels)), text[at:]


class Scrape:
    def __init__(self, openmetrics=False):
        self.openmetrics = openmetrics
        self.types = {}
        self.series = {}
        self.closed = set()
        self.family = None

    def family_of(self, name):
        for family, kind in self.types.items():
            suffixes = SUFFIXES[kind]
            if kind == "counter" and self.openmetrics:
                suffixes = ("_total",)
            if any(name == family + suffix for suffix in suffixes):
                return family
        raise Wrong(f"{name} has no type")

    def enter(self, family):
        if family == self.family:
            return
        if family in self.closed:
            raise Wrong(f"{family} does not stand together")
        if self.family:
            self.closed.add(self.family)
        self.family = family

    def head(self, line):
        _, what, family, text = line.split(" ", 3)
        self.enter(family)
        if what == "TYPE":
            if family in self.types or text not in SUFFIXES:
                raise Wrong(f"type twice, or unknown: {line}")
            if text == "counter" and self.openmetrics == family.endswith("_total"):
                raise Wrong(f"a counter of that name: {line}")
            self.types[family] = text
        elif what != "HELP":
            raise Wrong(line)

    def sample(self, line):
        name, labels, rest = parse_series(line)
        if name not in self.known:
            self.known[name] = self.family_of(name)
        self.enter(self.known[name])
        if not rest.startswith(" ") or not NUMBER.match(rest[1:]):
            raise Wrong(f"no value: {line!r}")
        if (name, labels) in self.series:
            raise Wrong(f"twice: {line!r}")
        self.series[name, labels] = float(rest[1:])

    def read(self, data):
        self.types, self.closed, self.family, self.known = {}, set(), None, {}
        text = data.decode("utf-8")
        if not text.endswith("\n"):
            raise Wrong("the last line does not end")
        lines = text[:-1].split("\n")
        if self.openmetrics and lines.pop() != "# EOF":
            raise Wrong("no # EOF")
        for line in lines:
            self.head(line) if line.startswith("# ") else self.sample(line)
        self.check_histograms()

    def check_histograms(self):
        rows = {}
        for (name, labels), value in self.series.items():
            if name.endswith("_bucket"):
                bound = dict(labels)["le"]
                rest = tuple(x for x in labels if x[0] != "le")
                rows.setdefault((name[:-len("_bucket")], rest), []).append((float(bound.replace("Inf", "inf")), value))
        for (name, labels), buckets in rows.items():
            values = [value for _, value in sorted(buckets)]
            if values != sorted(values) or values[-1] != self.series[name + "_count", labels]:
                raise Wrong(f"no histogram: {name} {labels} {buckets}")


def load(files, openmetrics=False):
    scrape = Scrape(openmetrics)
    for path in files:
        with open(path, "rb") as file:
            scrape.read(file.read())
    return scrape


def rising(before, after):
    before, after = load([before]), load([after])
    for (name, labels), value in before.series.items():
        if not name.endswith(("_total", "_bucket", "_count")):
            continue
        if (name, labels) not in after.series:
            raise Wrong(f"gone: {name} {labels}")
        if after.series[name, labels] < value:
            raise Wrong(f"fell: {name} {labels} {value} -> {after.series[name, labels]}")


def main(arguments):
    try:
        if arguments[0] == "--value":
            name, labels, _ = parse_series(arguments[1])
            print(f"{load(arguments[2:]).series[name, labels]:g}")
        elif arguments[0] == "--count":
            print(len(load(arguments[1:]).series))
        elif arguments[0] == "--rising":
            rising(*arguments[1:])
        else:
            openmetrics = arguments[0] == "--openmetrics"
            load(arguments[openmetrics:], openmetrics)
    except (Wrong, UnicodeDecodeError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


main(sys.argv[1:])
