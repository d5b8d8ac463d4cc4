#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Commits without a pause, as many a second as the agent makes: weights, drains and returns of all four backends in turn,
# over a connection to the API that stays open, while all clients go on. A decision out of two generations would send
# a packet to a backend that does not know its connection, which breaks it.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/story-lib.sh
. "$(dirname "$0")/story-lib.sh"

seconds=$((${QUICK:-0} ? 6 : 15))

story_begin '.services[].ring_size = 1024'
# The disk is not on trial.
lbd_stop TERM || not_ok "it stops"
mkdir "$TEST_TMP/memory" && mount -t tmpfs tmpfs "$TEST_TMP/memory" && defer umount -l "$TEST_TMP/memory"
cp -a "$LBD_STATE" "$TEST_TMP/memory/state"
LBD_STATE=$TEST_TMP/memory/state
LBD_ARGUMENTS+=(--state-dir "$LBD_STATE")
lbd_start || not_ok "it starts with its state in memory"
story_crowd
story_client udp "$LAB_VIP4" --udp "$(longs 100)"
story_goes_on
before=$(api GET /v1/status | jq .generation)
# Two services of TCP and one of UDP. All backends of a service are never drained at once.
/usr/bin/python3 -I - "$LBD_SOCKET" $seconds >"$TEST_TMP/hammer" 2>&1 <<'PY' || not_ok "every commit succeeds" "$(cat "$TEST_TMP/hammer")"
import http.client, json, random, socket, sys, time

class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(sys.argv[1])

api = Unix("weir")
random.seed(1)
end, commits, begin, slowest = time.monotonic() + float(sys.argv[2]), 0, time.monotonic(), 0
while time.monotonic() < end:
    for service in ("talk", "talk6", "udp"):
        backend = "b%d" % (1 + commits // 3 % 4)
        for change in ({"state": "drain"}, {"state": "active", "weight": random.randint(20, 200)}):
            t = time.monotonic()
            api.request("PATCH", "/v1/services/%s/backends/%s" % (service, backend), json.dumps(change))
            answer = api.getresponse()
            body = json.loads(answer.read())
            if answer.status != 200 or not body["applied"]:
                sys.exit("%s: %s" % (answer.status, body))
            slowest = max(slowest, time.monotonic() - t)
            commits += 1
took = time.monotonic() - begin
print("%d commits in %.1f s: %.0f a second, slowest %.0f ms" % (commits, took, commits / took, 1000 * slowest))
PY
diag <"$TEST_TMP/hammer"
commits=$(($(api GET /v1/status | jq .generation) - before))
check "many generations went by every second" test $commits -gt $((30 * seconds))
check "nothing is broken" unbroken
story_goes_on
story_end
