// SPDX-License-Identifier: GPL-2.0-only
/*
 * The intent layer against a model of it that remembers everything in plain arrays: random words, verdicts,
 * files, clocks that jump, and restarts through the record's JSON. After each step one backend is compared:
 * state, weight, who says something and whose word holds; from time to time all that the engine would be
 * told. Beside it an engine has what plans tell it, when the schedule has them made; they take time, and may
 * fail: whenever nothing is wanted any more, it has all as it must be. intent_model STEPS SEED
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intent/intent.h"
#include "intent/schedule.h"
#include "lbd/api/json.h"
#include "lbd/state/words_json.h"

#define SERVICES 3
#define BACKENDS 5
#define NONE     (-1)

struct model_verdict {
	bool given;
	int state;
	__u32 share, check;
	__u8 address;
};

/* One backend, as the model has it. */
struct model {
	int state, weight; /* the file's */
	__u8 address;
	__u32 check;
	int said[LB_WORD_COUNT]; /* NONE: nothing */
	__s64 until[LB_WORD_COUNT];
	struct model_verdict verdict[2]; /* health, breaker */
};

static struct model model[SERVICES][BACKENDS];
static struct lb_config_backend backends[SERVICES][BACKENDS];
static struct lb_config_service services[SERVICES];
static struct lb_config config = { .services = services, .n_services = SERVICES };
static struct lb_words words;
static struct lb_verdicts *verdicts;
static struct lb_clock clocks;
static __s64 wall_ms = 1700000000000ll, run_ms = 5000;
static __u64 random_state, step;

static void fail(const char *what)
{
	fprintf(stderr, "step %llu: %s\n", step, what);
	exit(1);
}

static __u32 below(__u32 n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)((random_state >> 33) % n);
}

static __u64 check_of(const struct lb_config_service *service, const struct lb_config_backend *backend)
{
	return model[service - services][backend - service->backends].check;
}

static __s64 now_s(void)
{
	return wall_ms / 1000;
}

/* What packets see, and what the plan that is being made will have them see. */
struct seen {
	int state, weight;
};
static struct seen engine[SERVICES][BACKENDS], planned[SERVICES][BACKENDS];
static struct lb_schedule schedule;
static __s64 plan_ends_ms; /* 0: none is being made */
static __u64 n_at_rest;    /* steps after which nothing was wanted */

/* --- what happens ----------------------------------------------------------------------------------------
 */

static void plan(void);

static void want(unsigned int causes)
{
	lb_schedule_want(&schedule, causes, (__u64)run_ms);
}

/* A request's plan is made at once, and is of everything. */
static void request(void)
{
	if (plan_ends_ms) {
		want(LB_CAUSE_OPERATOR);
		return;
	}
	plan();
	memcpy(engine, planned, sizeof(engine));
	lb_schedule_cover(&schedule, (1u << LB_CAUSE_COUNT) - 1);
}

static int random_value(int key)
{
	return key == LB_WORD_WEIGHT  ? (int)below(4) * 33
	       : key == LB_WORD_STATE ? (int)below(3)
				      : 1 + (int)below(2);
}

static void say(int s, int b)
{
	int key = (int)below(LB_WORD_COUNT);
	struct lb_word word = { .key = (enum lb_word_key)key,
				.value = (__u32)random_value(key),
				.since_s = now_s() };

	snprintf(word.service, sizeof(word.service), "s%d", s);
	snprintf(word.backend, sizeof(word.backend), "b%d", b);
	snprintf(word.reason, sizeof(word.reason), "r%u \"\\ \xc3\xa4", below(1000));
	word.uid = below(3);
	word.pid = below(100);
	word.until_s = below(3) ? 0 : now_s() + 1 + below(100);
	if (lb_words_set(&words, &word) < 0)
		fail("no memory for a word");
	model[s][b].said[key] = (int)word.value;
	model[s][b].until[key] = word.until_s;
	request();
}

static void take_back(int s, int b)
{
	int key = (int)below(LB_WORD_COUNT);

	if (lb_words_clear(&words, services[s].name, backends[s][b].name, (enum lb_word_key)key) !=
	    (model[s][b].said[key] != NONE))
		fail("a word that was there is not, or one is that was not");
	model[s][b].said[key] = NONE;
	request();
}

static void judge(int s, int b)
{
	int layer = (int)below(2);
	struct model_verdict *mine = &model[s][b].verdict[layer];
	struct lb_verdict verdict = { .state = (enum lb_state)below(3),
				      .share = below(2) ? LB_SHARE_ALL : below(LB_SHARE_ALL + 1),
				      .check = below(8) ? model[s][b].check : below(3),
				      .address = backends[s][b].address };

	if (lb_verdicts_set(verdicts, layer ? LB_ORIGIN_BREAKER : LB_ORIGIN_HEALTH, services[s].name,
			    backends[s][b].name, below(4) ? &verdict : NULL) < 0)
		fail("a verdict is refused");
	mine->given = lb_verdicts_get(verdicts, layer ? LB_ORIGIN_BREAKER : LB_ORIGIN_HEALTH,
				      services[s].name, backends[s][b].name) != NULL;
	mine->state = verdict.state;
	mine->share = verdict.share;
	mine->check = (__u32)verdict.check;
	mine->address = model[s][b].address;
	want(LB_CAUSE_HEALTH);
}

static void change_file(int s, int b)
{
	struct model *m = &model[s][b];

	switch (below(4)) {
	case 0:
		m->state = (int)below(3);
		backends[s][b].state = (enum lb_state)m->state;
		break;
	case 1:
		m->weight = (int)below(3) * 50;
		backends[s][b].weight = (__u32)m->weight;
		break;
	case 2:
		m->address = (__u8)below(3);
		backends[s][b].address.bytes[3] = m->address;
		break;
	default:
		m->check = below(3);
	}
	want(LB_CAUSE_SOURCE);
}

/* Plans are begun when they are due, last, and some fail. */
static void run_until(__s64 until_ms)
{
	for (;;) {
		__s64 next_ms = plan_ends_ms ? plan_ends_ms : (__s64)lb_schedule_due_ms(&schedule);
		bool failed = below(8) == 0;

		if (!next_ms || next_ms > until_ms)
			break;
		run_ms = next_ms > run_ms ? next_ms : run_ms;
		if (!plan_ends_ms) {
			if (lb_schedule_begin(&schedule, (__u64)run_ms))
				plan();
			plan_ends_ms = run_ms + 1 + below(300);
			continue;
		}
		plan_ends_ms = 0;
		if (!failed)
			memcpy(engine, planned, sizeof(engine));
		lb_schedule_end(&schedule, failed, (__u64)run_ms, 1 + below(300));
	}
	run_ms = until_ms;
}

/* Words that are over are taken back now and then, and planned for; until then packets see them. Returns
 * whether there is none any more. */
static bool tick(bool look)
{
	bool any = false;

	for (int i = 0; i < SERVICES * BACKENDS * LB_WORD_COUNT; i++) {
		int s = i / LB_WORD_COUNT / BACKENDS, b = i / LB_WORD_COUNT % BACKENDS,
		    key = i % LB_WORD_COUNT;
		struct model *m = &model[s][b];

		if (m->said[key] == NONE || !m->until[key] || m->until[key] > now_s())
			continue;
		any = true;
		if (!look)
			continue;
		lb_words_clear(&words, services[s].name, backends[s][b].name, (enum lb_word_key)key);
		m->said[key] = NONE;
		m->until[key] = 0;
	}
	if (any && look)
		want(LB_CAUSE_OPERATOR);
	return look || !any;
}

/* Time passes; now and then somebody sets the wall clock, and what was to last lasts as long. */
static void pass(void)
{
	__u32 ms = below(20000);
	__s64 jump_s = below(4) ? 0 : (__s64)below(200000) - 100000;
	__s64 seen_s;

	wall_ms += ms;
	run_until(run_ms + ms);
	if (jump_s > -3 && jump_s < 3)
		jump_s = 0;
	wall_ms += jump_s * 1000;
	seen_s = lb_clock_jump_s(&clocks, wall_ms, run_ms);
	if (seen_s != jump_s)
		fail("the clock was set, and nobody saw by how much");
	lb_words_move(&words, seen_s);
	for (int i = 0; i < SERVICES * BACKENDS * LB_WORD_COUNT; i++) {
		__s64 *until = &model[i / LB_WORD_COUNT / BACKENDS][i / LB_WORD_COUNT % BACKENDS]
					.until[i % LB_WORD_COUNT];

		*until += *until ? jump_s : 0;
	}
	tick(below(2));
}

/* Through the record's JSON, in which nothing may change. */
static void restart(void)
{
	struct json json = {};
	struct lb_words back = {};
	cJSON *tree;

	json_object(&json, NULL);
	words_write(&words, "overrides", false, &json);
	json_object_end(&json);
	tree = cJSON_Parse(json.text);
	if (!tree || words_read(cJSON_GetObjectItem(tree, "overrides"), &back) < 0)
		fail("a record cannot be read back");
	/* Nobody is known where the pid is not. */
	for (size_t i = 0; i < words.n; i++)
		words.all[i].uid = words.all[i].pid ? words.all[i].uid : 0;
	if (!lb_words_equal(&words, &back))
		fail("a record says something else than was said");
	cJSON_Delete(tree);
	json_done(&json);
	lb_words_done(&words);
	words = back;
	lb_words_bound(&words, now_s());
	/* The first plan is of everything. */
	memset(&schedule, 0, sizeof(schedule));
	plan_ends_ms = 0;
	plan();
	memcpy(engine, planned, sizeof(engine));
}

/* --- what must hold --------------------------------------------------------------------------------------
 */

/* What is said and counts now; NONE: nothing. */
static int heard(const struct model *m, int key)
{
	return m->said[key] != NONE && (!m->until[key] || now_s() < m->until[key]) ? m->said[key] : NONE;
}

static bool counts(const struct model *m, int layer)
{
	const struct model_verdict *verdict = &m->verdict[layer];

	return verdict->given && verdict->address == m->address && verdict->check == m->check;
}

static void expect(const struct model *m, int *ret_state, int *ret_weight)
{
	int breaker = heard(m, LB_WORD_BREAKER), weight = heard(m, LB_WORD_WEIGHT);
	bool drained = false, dead = false;
	__u32 share = 1000;
	int said = heard(m, LB_WORD_STATE) == NONE ? m->state : heard(m, LB_WORD_STATE);

	for (int layer = 0; layer < 2 && breaker != LB_BREAKER_OFF; layer++) {
		if (!counts(m, layer))
			continue;
		drained |= m->verdict[layer].state == LB_STATE_DRAIN;
		dead |= m->verdict[layer].state == LB_STATE_DOWN;
		share = m->verdict[layer].share < share ? m->verdict[layer].share : share;
	}
	drained |= breaker == LB_BREAKER_OPEN;
	*ret_state = dead || said == LB_STATE_DOWN       ? LB_STATE_DOWN
		     : drained || said == LB_STATE_DRAIN ? LB_STATE_DRAIN
							 : LB_STATE_ACTIVE;
	weight = weight == NONE ? m->weight : weight;
	*ret_weight = (int)(weight * share / 1000);
	*ret_weight += weight * share % 1000 != 0;
}

/* Who must be among the reasons, a bit each. */
static unsigned int expected_origins(const struct model *m)
{
	unsigned int bits = m->state != LB_STATE_ACTIVE || !m->weight ? 1u << LB_ORIGIN_FILE : 0;

	for (int key = 0; key < LB_WORD_COUNT; key++)
		bits |= heard(m, key) == NONE ? 0 : 1u << LB_ORIGIN_OPERATOR;
	for (int layer = 0; layer < 2; layer++)
		if (counts(m, layer) &&
		    (m->verdict[layer].state != LB_STATE_ACTIVE || m->verdict[layer].share != LB_SHARE_ALL))
			bits |= 1u << (layer ? LB_ORIGIN_BREAKER : LB_ORIGIN_HEALTH);
	return bits;
}

static struct lb_intent intent(void)
{
	return (struct lb_intent){
		.words = &words, .verdicts = verdicts, .check_of = check_of, .now_s = now_s()
	};
}

/* What the engine would be told now. */
static void plan(void)
{
	struct lb_intent all = intent();
	struct lb_override *overrides;
	size_t n;

	if (lb_intent_overrides(&all, &config, &overrides, &n) < 0)
		fail("no memory for overrides");
	for (int i = 0; i < SERVICES * BACKENDS; i++) {
		const struct lb_config_backend *backend = &backends[i / BACKENDS][i % BACKENDS];

		planned[i / BACKENDS][i % BACKENDS] =
			(struct seen){ (int)backend->state, (int)backend->weight };
	}
	for (size_t i = 0; i < n; i++) {
		struct seen *seen = &planned[overrides[i].service[1] - '0'][overrides[i].backend[1] - '0'];

		seen->state = overrides[i].has_state ? (int)overrides[i].state : seen->state;
		seen->weight = overrides[i].has_weight ? (int)overrides[i].weight : seen->weight;
	}
	free(overrides);
}

/* While nothing is wanted, packets see what must be. */
static void compare_engine(void)
{
	if (plan_ends_ms || lb_schedule_due_ms(&schedule) || !tick(false))
		return;
	for (int i = 0; i < SERVICES * BACKENDS; i++) {
		const struct seen *seen = &engine[i / BACKENDS][i % BACKENDS];
		int state, weight;

		expect(&model[i / BACKENDS][i % BACKENDS], &state, &weight);
		if (seen->state != state || seen->weight != weight)
			fail("nothing is wanted, and the engine has something else than must be");
	}
	n_at_rest++;
}

static void compare(int s, int b)
{
	struct lb_intent all = intent();
	struct lb_effective effective;
	unsigned int origins = 0;
	bool explained;
	int state, weight;

	lb_intent_resolve(&all, &services[s], &backends[s][b], &effective);
	expect(&model[s][b], &state, &weight);
	if ((int)effective.state != state || (int)effective.weight != weight) {
		fprintf(stderr, "s%d/b%d is %d with weight %u, and must be %d with %d\n", s, b,
			effective.state, effective.weight, state, weight);
		fail("another state or weight");
	}
	explained = state == LB_STATE_ACTIVE;
	for (size_t i = 0; i < effective.n_statements; i++) {
		const struct lb_statement *statement = &effective.statements[i];

		origins |= 1u << statement->origin;
		explained |= statement->holds && ((statement->has_state && (int)statement->state == state) ||
						  (statement->has_breaker && state == LB_STATE_DRAIN));
	}
	if (origins != expected_origins(&model[s][b]))
		fail("somebody is not among the reasons, or is without a reason");
	if (!explained)
		fail("no reason that holds says the state that the backend has");
}

/* The engine is told of exactly what is not as configured. */
static void compare_all(void)
{
	struct lb_intent all = intent();
	struct lb_override *overrides;
	size_t n, expected = 0;

	if (lb_intent_overrides(&all, &config, &overrides, &n) < 0)
		fail("no memory for overrides");
	for (int i = 0; i < SERVICES * BACKENDS; i++) {
		const struct model *m = &model[i / BACKENDS][i % BACKENDS];
		int state, weight;

		expect(m, &state, &weight);
		compare(i / BACKENDS, i % BACKENDS);
		expected += state != m->state || weight != m->weight;
	}
	if (n != expected)
		fail("the engine is told of another number of backends than differ");
	free(overrides);
}

static void one_step(void)
{
	static void (*const what[])(int s, int b) = { say, say, take_back, judge, judge, change_file };
	__u32 kind = below(8);
	int s = (int)below(SERVICES), b = (int)below(BACKENDS);

	if (kind < 6)
		what[kind](s, b);
	else if (kind == 6)
		pass();
	else if (below(16) == 0)
		restart();
	compare(s, b);
	compare_engine();
	if (step % 64 == 0)
		compare_all();
}

static void begin(void)
{
	for (int s = 0; s < SERVICES; s++) {
		snprintf(services[s].name, sizeof(services[s].name), "s%d", s);
		services[s].backends = backends[s];
		services[s].n_backends = BACKENDS;
		for (int b = 0; b < BACKENDS; b++) {
			snprintf(backends[s][b].name, sizeof(backends[s][b].name), "b%d", b);
			backends[s][b].weight = 100;
			backends[s][b].address.family = LB_FAMILY_V4;
			model[s][b].weight = 100;
			for (int key = 0; key < LB_WORD_COUNT; key++)
				model[s][b].said[key] = NONE;
		}
	}
	lb_clock_jump_s(&clocks, wall_ms, run_ms);
	if (lb_verdicts_new(&verdicts) < 0)
		fail("no memory");
	request();
}

int main(int argc, char **argv)
{
	__u64 steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	begin();
	for (step = 1; step <= steps; step++)
		one_step();
	if (n_at_rest < steps / 100)
		fail("it is hardly ever at rest");
	printf("intent: %llu steps, at rest after %llu, %zu words and %zu verdicts at the end, all as the "
	       "model "
	       "has it\n",
	       steps, n_at_rest, words.n, lb_verdicts_count(verdicts));
	lb_words_done(&words);
	lb_verdicts_free(verdicts);
	return 0;
}
