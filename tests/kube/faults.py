# SPDX-License-Identifier: GPL-2.0-only
"""Misbehaviour on demand. A fault is an object: which requests it is for, and what becomes of them.

For which: "verb" (get, list, watch, create, update, patch, delete), "resource" (plural, or plural/subresource), "user", "path"
(regular expression); "skip" lets so many pass first, "times" ends it after so many. What becomes of them ("do"):

  status       answered "code" with a Status ("reason", "message"), header Retry-After if "retry_after" is there
  html         answered "code" (200) with a page of HTML
  body         answered "code" (200), "content_type" and "body" as given
  hang         the request is read, and nothing ever comes back
  reset        the connection is reset before an answer
  reset_after  the request is carried out, and the connection is reset before its answer
  cut          the answer ends in its middle, after "bytes"
  slow         the answer comes in pieces of "bytes" (1), "delay_ms" (1) apart
  delay        the answer begins "delay_ms" late
  late         events of this watch come "delay_ms" late: out of order with other resources'
  silent       a watch is answered 200 and says nothing, ever
  stall        a watch falls silent after "events", its connection stays
  gone         a watch ends after "events" with an ERROR event of code 410
  error        the same with "code" (500)
  drop         a watch is closed after "events", without a word
  torn         a watch ends after "events" in the middle of a line
  garbage      a watch sends a line that is no JSON after "events"
"""
import re
import threading

WATCH_ENDS = {"stall", "gone", "error", "drop", "torn", "garbage"}


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []

    def set(self, rules):
        for rule in rules:
            if "do" not in rule:
                raise ValueError("a fault needs \"do\"")
        with self.lock:
            self.rules = [{"seen": 0, "hits": 0, **rule} for rule in rules]

    def add(self, rule):
        with self.lock:
            self.rules.append({"seen": 0, "hits": 0, **rule})

    def hits(self):
        with self.lock:
            return [rule["hits"] for rule in self.rules]

    @staticmethod
    def _fits(rule, request):
        if any(rule.get(key) not in (None, getattr(request, key)) for key in ("verb", "user")):
            return False
        if rule.get("resource") not in (None, request.resource_name):
            return False
        return not rule.get("path") or re.search(rule["path"], request.path) is not None

    def find(self, request):
        """The first fault that is for this request, or None."""
        with self.lock:
            for rule in self.rules:
                if not self._fits(rule, request):
                    continue
                rule["seen"] += 1
                if rule["seen"] <= rule.get("skip", 0) or rule["hits"] >= rule.get("times", 1 << 60):
                    continue
                rule["hits"] += 1
                return rule
        return None
