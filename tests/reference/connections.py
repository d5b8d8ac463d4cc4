# SPDX-License-Identifier: GPL-2.0-only
"""
What the reference balancer remembers of flows while slots are unsettled: for TCP one entry per connection, by its
numbers. The rules are those of docs/flow-table.md.
"""

from collections import namedtuple

ONCE, EMBRYONIC, ESTABLISHED = 1, 2, 3
FLIGHT, NEAR, ACK, TIGHT, SLACK = 178176, 32768, 4194304, 131072, 2048
CARRIED_MAX, CREDIT_MAX = 1 << 27, 65535
LIVES, GRACE_S, OVER_S = 16, 5, 60

# kind: "syn", "rst", "fin", "data", "error" (of ICMP) or "other", which is of no connection; seq of a SYN: what follows
Segment = namedtuple("Segment", "kind seq ack size")
NOT_TCP = Segment("data", None, None, 0)


def segment_of(ip, flags):
    """Of a TCP packet whose header can be read."""
    at = ip.l4
    seq, ack = (int.from_bytes(ip.frame[at + i : at + i + 4], "big") for i in (4, 8))
    size = ip.end - at - (ip.frame[at + 12] >> 4) * 4
    if flags & 0x17 == 0x02:
        return Segment("syn", seq + 1 & 0xFFFFFFFF, ack, size)
    if flags & 0x02 or not flags & 0x14:
        return Segment("other", seq, ack, size)
    return Segment("rst" if flags & 0x04 else "fin" if flags & 0x01 else "data", seq, ack, size)


def signed(number):
    return (number + (1 << 31) & 0xFFFFFFFF) - (1 << 31)


class Entry:
    def __init__(self, index, segment, now_s):
        self.index, self.seen_s = index, now_s
        self.state = EMBRYONIC if segment.kind == "syn" else ONCE
        self.fin = self.rst = False
        self.tcp = segment.seq is not None
        self.next = self.ack = self.carried = self.credit = 0
        if not self.tcp:
            return
        self.next, self.ack = segment.seq, segment.ack
        if segment.kind == "syn":
            self.ack, self.credit = 0, segment.size
        else:
            self.fin = segment.kind == "fin"
            self.next = self.next + segment.size + self.fin & 0xFFFFFFFF
            self.carried = segment.size

    @property
    def marked(self):
        return self.fin or self.rst

    def misfit(self, segment):
        """How badly a segment fits: a key to compare by, or None if it is not of this connection."""
        if not self.tcp:
            return 0, 0
        if segment.kind == "error":
            return self.state == ONCE, 1
        ahead = signed(segment.seq - self.next)
        distance = abs(ahead)
        if self.state == EMBRYONIC:
            fits = ahead == 0 if segment.kind == "syn" else 0 <= ahead <= FLIGHT
        elif segment.kind == "syn":
            fits = self.state != ONCE and not self.marked and -NEAR <= ahead <= 0
        else:
            fits = distance <= FLIGHT + self.carried and (
                distance <= NEAR or abs(signed(segment.ack - self.ack)) <= ACK)
        if not fits:
            return None
        if distance < 1 << 22:
            grade = 1 + distance // 1024 if distance else 0
        else:
            grade = 0x1001 + distance // 65536
        return self.state == ONCE, grade

    def follow(self, segment, now_s):
        """A segment of this connection."""
        if not self.tcp:
            self.state, self.seen_s = ESTABLISHED, now_s
            return
        if segment.kind == "syn":
            self.seen_s = now_s
            return
        ahead = signed(segment.seq - self.next)
        size = segment.size
        if segment.kind == "rst":
            if ahead == 0:
                self.rst, self.state, self.seen_s = True, ESTABLISHED, now_s
            return
        if self.state == EMBRYONIC:
            if ahead not in (0, self.credit):
                self.credit = min(self.credit + size, CREDIT_MAX)
                return
            self.ack = segment.ack
        apart = abs(signed(segment.ack - self.ack))
        tight = apart <= TIGHT or ahead == 0
        if self.state == ONCE and tight and 0 <= ahead <= FLIGHT:
            self.next, ahead = segment.seq, 0
        if tight and 0 <= ahead <= max(self.credit, SLACK):
            self.next, self.credit, ahead = self.next + ahead & 0xFFFFFFFF, max(self.credit - ahead, 0), 0
        if ahead == 0 or (abs(ahead) <= SLACK and apart <= ACK):
            self.ack = segment.ack
        elif abs(ahead) <= SLACK:
            self.ack = self.ack + (TIGHT if signed(segment.ack - self.ack) >= 0 else -TIGHT) & 0xFFFFFFFF
        if segment.kind == "fin" and tight and 0 <= ahead + size <= size:
            self.fin = True
            size += 1
        if tight:
            self.carry(ahead + size, size)
        elif abs(ahead) <= SLACK:
            self.credit = min(self.credit + size, CREDIT_MAX)
        self.state, self.seen_s = ESTABLISHED, now_s

    def carry(self, gain, size):
        """Payload of a segment that ends gain bytes further than what was carried."""
        if gain < 0:
            self.credit += size
        elif gain <= size:
            self.next += gain
            self.carried += gain
            self.credit += size - gain
        else:
            more = min(gain - size, self.credit)
            self.next += size + more
            self.carried += size
            self.credit -= more
        self.next &= 0xFFFFFFFF
        self.carried, self.credit = min(self.carried, CARRIED_MAX), min(self.credit, CREDIT_MAX)


class Connections:
    def __init__(self):
        self.entries = {}  # (service, flow) -> [Entry], the oldest first
        self.remembered = 0  # grows when something is remembered

    def best(self, key, segment):
        fits = [(e.misfit(segment), i) for i, e in enumerate(self.entries.get(key, ()))]
        fits = [f for f in fits if f[0] is not None]
        return self.entries[key][min(fits)[1]] if fits else None

    def has(self, key):
        return bool(self.entries.get(key))

    def somebody_lives(self, key):
        """A proven connection without a mark of an end."""
        return any(e.state != ONCE and not e.marked for e in self.entries.get(key, ()))

    def remember(self, key, index, segment, now_s):
        """False: it has as many as it may, and none can go."""
        lives = self.entries.setdefault(key, [])
        entry = Entry(index, segment, now_s)
        if len(lives) < LIVES:
            lives.append(entry)
        else:
            may_go = [i for i, e in enumerate(lives) if self.may_go(e, segment, now_s)]
            if not may_go:
                return False
            lives[may_go[0]] = entry
        self.remembered += 1
        return True

    @staticmethod
    def may_go(entry, segment, now_s):
        age_s = now_s - entry.seen_s
        if entry.state == ONCE and segment.kind == "syn":
            return True
        return (entry.state != ESTABLISHED and age_s > GRACE_S) or (entry.marked and age_s >= OVER_S)

    def sums(self):
        """By the runner's numbers: entries by state, those with marks, and sums of their numbers."""
        sums = dict.fromkeys(range(1, 10), 0)
        for lives in self.entries.values():
            for e in lives:
                sums[e.state] += 1
                for i, n in enumerate((e.fin, e.rst, e.next, e.ack, e.carried, e.credit)):
                    sums[4 + i] += n
        return {k: v & 0xFFFFFFFF for k, v in sums.items()}
