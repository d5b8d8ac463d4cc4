/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /metrics (Prometheus text), /healthz and /readyz over TCP, on the address of the configuration.
 */
#pragma once

#include "lbd/api/http.h"
#include "lbd/lbd.h"

/* Opens, moves or closes the listener, as the running configuration says. An address that cannot be had is an
 * event and a warning in the status, not an end; it is tried again the next time. */
void metrics_update(struct lbd *lbd);
void metrics_close(struct lbd *lbd);

/* Answers GET /metrics, /healthz and /readyz; false: the request is for something else. */
bool metrics_answer(struct lbd *lbd, const struct http_request *request, struct http_answer *answer);
