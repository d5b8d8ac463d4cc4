#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The certificate of one backend of four has expired: its check fails, it drains, and not one connection breaks, its own among
# them. With a new one it gets connections again.

# shellcheck disable=SC2317,SC2119,SC2034 # functions that check calls; what the library takes
# shellcheck source=tests/stories/health-lib.sh
. "$(dirname "$0")/health-lib.sh"

# certificate NAME DAYS: signed by the CA, with its key, in NAME.pem
certificate()
{
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$TEST_TMP/$1.key" -out "$TEST_TMP/$1.csr" \
		-subj "/CN=health.test" -addext "subjectAltName=DNS:health.test" 2>/dev/null &&
		openssl x509 -req -in "$TEST_TMP/$1.csr" -CA "$TEST_TMP/ca.pem" -CAkey "$TEST_TMP/ca.key" -CAcreateserial -copy_extensions copy \
			-days "$2" -out "$TEST_TMP/$1.crt" 2>/dev/null && cat "$TEST_TMP/$1.crt" "$TEST_TMP/$1.key" >"$TEST_TMP/$1.pem"
}

chmod 755 "$TEST_TMP"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$TEST_TMP/ca.key" -out "$TEST_TMP/ca.pem" \
	-days 30 -subj /CN=ca.test 2>/dev/null || not_ok "a CA is made"
certificate good 30 || not_ok "a certificate is made"
certificate expired 0 || not_ok "one that expires at once is made"

health_begin_http '{ "kind": "https", "port": '$HEALTH_PORT', "host": "health.test", "ca": "'"$TEST_TMP"'/ca.pem" }' "$TEST_TMP/good.pem"
story_crowd
story_goes_on
held=$(held b4)
cp "$TEST_TMP/expired.pem" "$TEST_TMP/certificate.b4"
check "checks find it" wait_for 8 health_is b4 open
check "it is said why" answers GET /v1/health/talk/b4 '.backends[0] | .reason | test("protocol")'
check "it drains" wait_for 2 in_force b4 drain
check "it gets no new connections" avoided b4
is "its connections are still there" "$(held b4)" "$held"
cp "$TEST_TMP/good.pem" "$TEST_TMP/certificate.b4"
check "checks find that it is renewed" wait_for 15 health_is b4 closed
check "it gets connections" reached b4
story_goes_on
check "nothing is broken" unbroken
story_end
