#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The server of one backend of four stops gracefully, and nobody says so: it closes its listener and keeps its connections.
# Checks are refused, the backend drains, and not one connection breaks, its own among them.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

# A new connection can be refused until the checks have found it: long ones, that have been let in, count.
story_broken='[.long, .udp] | map(.broken) | add'
story_opened='[.long, .udp] | map(.opened) | add'

health_begin
story_crowd
story_goes_on
held=$(held b4)
kill -USR1 "$(server_of b4)"
check "checks find it" wait_for 6 health_is b4 open
check "it drains" wait_for 2 in_force b4 drain
check "it gets no new connections" avoided b4
# Longer than silence would be given.
sleep 4
check "it still drains" in_force b4 drain
is "its connections are still there" "$(held b4)" "$held"
check "nothing is broken" unbroken
story_goes_on
story_end
