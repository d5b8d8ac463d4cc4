/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /metrics (Prometheus text), /healthz and /readyz over TCP, on the address of the configuration.
 */
#pragma once

#include "lbd/api/http.h"
#include "lbd/lbd.h"

/* Opens, moves or closes ("") the listener, as a configuration says (api.metrics). An address that cannot be
 * had is an event and a warning in the status, not an end; it is tried again the next time. */
void metrics_update(struct lbd *lbd, const char *address);
void metrics_close(struct lbd *lbd);

/* Answers GET /metrics, /healthz and /readyz; false: the request is for something else. */
bool metrics_answer(struct lbd *lbd, const struct http_request *request, struct http_answer *answer);

/* Whether a path is of the metrics themselves, which cost the most. */
bool metrics_is_scrape(const char *path);

/* Of them /healthz (200 while the loop turns) and /readyz (503 and why while packets are not balanced as
 * configured). */
bool ready_answer(const struct lbd *lbd, const struct http_request *request, struct http_answer *answer);
