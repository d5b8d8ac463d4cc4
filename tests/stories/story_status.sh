#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One backend of four says over HTTP that it cannot serve: it drains, and not one connection breaks, its own among them. When it
# says that it can again, it gets connections.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

health_begin_http '{ "kind": "http", "port": '$HEALTH_PORT', "path": "/healthy" }'
story_crowd
story_goes_on
held=$(held b4)
says b4 503
check "checks find it" wait_for 8 health_is b4 open
check "it is said why" answers GET /v1/health/talk/b4 '.backends[0] | .reason | test("status")'
check "it drains" wait_for 2 in_force b4 drain
check "it gets no new connections" avoided b4
sleep 4
check "it still drains: it answers" in_force b4 drain
is "its connections are still there" "$(held b4)" "$held"
check "nothing is broken" unbroken
says b4 200
check "checks find that it can serve" wait_for 15 health_is b4 closed
check "it gets connections" reached b4
story_goes_on
check "nothing is broken at the end" unbroken
story_end
