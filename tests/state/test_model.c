// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state directory against a model: rounds of changes that end in order or by a crash at any step, on a
 * disk that is full at times, with damage between them. After each the agent comes back: it must not refuse,
 * and must know the last acknowledged change where one copy of it was left whole, byte for byte.
 *
 *   test_model [ROUNDS [SEED [ROUND]]]     ROUND: tell what happens from there on
 *
 * The store is the agent's own, in a process that really dies; the kernel's copies are real maps. Root.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "damage.h"
#include "lbd/state/store.h"
#include "lbd/state/store_kernel.h"

#define TEXT_MAX 16384
#define CRASHED  9
#define BPFFS    "bpf"
#define BALLAST  "ballast"
#define NUMBERS  (sizeof(((struct record *)0)->config) - 1)

/* A change as it was written. */
struct written {
	bool any;
	__u64 generation;
	char config[STORE_DIGEST];
	size_t record_length, text_length;
	char record[TEXT_MAX], text[TEXT_MAX];
};

#define GIVEN_UP_MAX 8u

/* Shared with the agent's process. */
static struct world {
	struct written acked, flight;
	/* Were in flight when the agent crashed, after what is acknowledged, and were not found: a backup
	 * that holds one may be restored, and then it is the last word as it would have been at once. */
	struct written given_up[GIVEN_UP_MAX];
	size_t n_given_up;
	__u64 tables; /* the generation that they hold; 0: there are none */
	bool record_whole, config_whole, flight_whole;
	bool lost, config_lost, refused;
	int countdown; /* steps until the crash; 0: none */
	char why[1024];
	size_t changes, crashes, refusals, losses, recovered;
} * world;

static struct store store;
static bool loud, in_record;

static char root[] = "/tmp/test_model.XXXXXX";

/* --- the agent -------------------------------------------------------------------------------------------
 */

static void read_flight(void)
{
	char path[128];
	long n;

	snprintf(path, sizeof(path), STATE "/generations/%020llu.json", world->flight.generation);
	n = read_plain(path, world->flight.record, TEXT_MAX);
	world->flight.record_length = n < 0 ? 0 : n;
	world->flight.any = n > 0;
}

static void on_step(void *context, const char *step)
{
	if (in_record && strcmp(step, "store_renamed") == 0)
		read_flight();
	if (world->countdown && --world->countdown == 0)
		_exit(CRASHED);
}

static void on_tell(void *context, const char *text)
{
	if (loud)
		printf("#     %s\n", text);
}

static void open_store(void)
{
	struct lb_error error = {};

	store = (struct store){ .step = on_step, .tell = on_tell };
	snprintf(store.bpffs, sizeof(store.bpffs), BPFFS);
	if (store_open(&store, STATE, &error) < 0) {
		world->refused = true;
		snprintf(world->why, sizeof(world->why), "%s", error.text);
		_exit(0);
	}
}

static bool is_written(const struct record *record, const struct written *written)
{
	char weight[32];

	if (!written->any || record->generation != written->generation ||
	    strcmp(record->config, written->config) != 0 || record->words.n != 1)
		return false;
	snprintf(weight, sizeof(weight), "\"weight\":%u,", record->words.all[0].value);
	return memmem(written->record, written->record_length, weight, strlen(weight)) != NULL;
}

/* What came back, of what may have; NULL: something else. */
static struct written *find_written(const struct record *record)
{
	if (is_written(record, &world->flight))
		return &world->flight;
	if (is_written(record, &world->acked))
		return &world->acked;
	for (size_t i = 0; i < world->n_given_up; i++)
		if (is_written(record, &world->given_up[i]))
			return &world->given_up[i];
	return NULL;
}

static void acknowledge(const struct written *written)
{
	world->acked = *written;
	world->n_given_up = 0;
}

/* Whether what came back is what must have come back. */
static void judge(const struct record *record, bool any)
{
	char *text;
	size_t length;
	struct written *now = any ? find_written(record) : NULL;

	if (world->record_whole && !now) {
		world->lost = true;
		snprintf(world->why, sizeof(world->why), "came back with generation %llu, was told %llu",
			 any ? record->generation : 0, world->acked.generation);
	}
	world->recovered += world->record_whole;
	if (now == &world->acked && world->config_whole &&
	    store_get_config(&store, record->config, &text, &length, NULL) < 0)
		world->config_lost = true;
	if (now == &world->acked && world->flight.any && world->n_given_up < GIVEN_UP_MAX)
		world->given_up[world->n_given_up++] = world->flight;
	else if (!now)
		world->acked.any = false;
	else if (now != &world->acked)
		acknowledge(now);
	world->flight.any = false;
}

static int put(const struct record *record, const char *text, size_t length)
{
	int r = 0;

	if (!store_has_config(&store, record->config))
		r = store_put_config(&store, text, length, record->config, NULL);
	in_record = true;
	if (r == 0)
		r = store_put_record(&store, record, NULL);
	in_record = false;
	return r;
}

static void change(const char *text, size_t length, bool empty)
{
	struct lb_word word = { .service = "web",
				.backend = "b1",
				.key = LB_WORD_WEIGHT,
				.value = random_below(65536),
				.since_s = time(NULL),
				.reason = "disk" };
	struct record record = {
		.generation = world->tables + !empty,
		.time_s = time(NULL),
		.services = 1,
		.words = { .all = &word, .n = 1 },
	};

	snprintf(record.cause, sizeof(record.cause), "change %zu", world->changes++);
	store_digest(text, length, record.config);
	world->flight.any = false;
	world->flight.generation = record.generation;
	memcpy(world->flight.config, record.config, sizeof(record.config));
	memcpy(world->flight.text, text, length);
	world->flight.text_length = length;
	if (put(&record, text, length) < 0) {
		world->flight.any = false; /* refused: nothing changed */
		return;
	}
	on_step(NULL, "recorded");
	world->tables = record.generation;
	on_step(NULL, "committed");
	store_copy(&store);
	on_step(NULL, "copied");
	acknowledge(&world->flight);
	world->flight.any = false;
	store_prune(&store);
}

static size_t draw_config(char *text)
{
	return snprintf(text, TEXT_MAX, "{\"version\":1,\"hash_seed\":\"%llu\",\"pad\":\"%0*d\"}",
			random_below(50), (int)random_below(2000) + 1, 0);
}

static void agent(void)
{
	struct record record = {};
	char text[TEXT_MAX] = "";
	size_t length = 0;
	char *stored;
	int r;

	open_store();
	r = store_recover(&store, world->tables, &record, NULL);
	judge(&record, r == 1);
	if (!world->tables)
		world->tables = r == 1 ? record.generation + 1 : 1;
	if (r == 1 && store_get_config(&store, record.config, &stored, &length, NULL) == 0) {
		memcpy(text, stored, length < TEXT_MAX ? length : TEXT_MAX);
		free(stored);
		store_settle(&store, &record);
	} else {
		length = draw_config(text);
	}
	for (__u64 n = random_below(4); n > 0; n--) {
		__u64 kind = random_below(5);

		if (kind == 0)
			world->tables++; /* next hops: not recorded */
		if (kind == 1)
			length = draw_config(text);
		if (kind != 0)
			change(text, length, kind == 2);
	}
	record_done(&record);
	store_close(&store);
	_exit(0);
}

/* --- the world -------------------------------------------------------------------------------------------
 */

static bool same(long n, const char *bytes, const char *wanted, size_t length)
{
	return n == (long)length && memcmp(bytes, wanted, length) == 0;
}

static bool kernel_has(const char *name, const char *wanted, size_t length)
{
	size_t n;
	char *text;
	bool has;

	if (store_kernel_get(BPFFS, name, &text, &n) < 0)
		return false;
	has = same(n, text, wanted, length);
	free(text);
	return has;
}

static bool file_has(const char *path, const char *wanted, size_t length)
{
	static char buffer[TEXT_MAX];

	return same(read_plain(path, buffer, sizeof(buffer)), buffer, wanted, length);
}

static bool record_on_disk(const struct written *written)
{
	char path[128];

	snprintf(path, sizeof(path), STATE "/generations/%020llu.json", written->generation);
	return written->any && (file_has(path, written->record, written->record_length) ||
				file_has(STATE "/copy/record.json", written->record, written->record_length));
}

static bool record_left(const struct written *written)
{
	return record_on_disk(written) ||
	       (written->any && kernel_has("lb_state_record", written->record, written->record_length));
}

static bool config_left(const struct written *written)
{
	char path[128];

	snprintf(path, sizeof(path), STATE "/configs/%s.json", written->config);
	return written->any && (file_has(path, written->text, written->text_length) ||
				file_has(STATE "/copy/config.json", written->text, written->text_length) ||
				kernel_has("lb_state_config", written->text, written->text_length));
}

/* Whether anything in the directory says that it is ours, so that a refusal would be one. */
static bool known_as_ours(void)
{
	return file_has(STATE "/format", "weir-state 1\n", 13) || record_on_disk(&world->acked);
}

static void fill_disk(bool full)
{
	static char zeros[4096];
	int fd;

	if (!full) {
		unlink(BALLAST);
		return;
	}
	fd = open(BALLAST, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (fd >= 0 && write(fd, zeros, sizeof(zeros)) > 0)
		;
	if (fd >= 0)
		close(fd);
	if (random_below(2) && truncate(BALLAST, random_below(8) * 4096) == 0)
		return;
}

static void happen(void)
{
	/* What nobody looks at any more, and what an operator would move away once it is refused. */
	if (system("rm -rf moved-* " STATE "/aside*") != 0 ||
	    (world->refused && system("rm -rf " STATE) != 0))
		abort();
	if (random_below(10) == 0)
		snapshot_take();
	if (random_below(25) == 0)
		snapshot_restore();
	if (random_below(100) < 60)
		for (__u64 n = random_below(4) + 1; n > 0; n--)
			damage(loud);
	if (random_below(5) == 0) { /* the machine starts anew */
		world->tables = 0;
		store_kernel_remove(BPFFS, "lb_state_record");
		store_kernel_remove(BPFFS, "lb_state_config");
	}
	if (random_below(10) == 0)
		store_kernel_remove(BPFFS, random_below(2) ? "lb_state_record" : "lb_state_config");
}

static bool precious_changed(void)
{
	struct stat st;

	return !file_has(PRECIOUS "/file", "precious", 8) ||
	       !file_has(PRECIOUS "/00000000000000000003.json", "{}", 2) || stat(PRECIOUS, &st) < 0 ||
	       st.st_nlink != 2;
}

/* One life of the agent; false: something is wrong. */
static bool live(size_t round)
{
	bool ours = known_as_ours(), full = random_below(10) == 0;
	__u64 seed = random_next();
	int status;
	pid_t pid;

	world->record_whole = record_left(&world->acked);
	world->config_whole = config_left(&world->acked);
	world->lost = world->config_lost = world->refused = false;
	world->countdown = random_below(2) ? (int)random_below(24) + 1 : 0;
	fill_disk(full);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		random_seed(seed);
		agent();
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != CRASHED)) {
		snprintf(world->why, sizeof(world->why), "the agent ended with status 0x%x", status);
		return false;
	}
	fill_disk(false);
	world->crashes += WEXITSTATUS(status) == CRASHED;
	if (loud)
		printf("# round %zu: %s%s tables %llu, acknowledged %llu%s\n", round,
		       WEXITSTATUS(status) ? "crashed," : "ended,", full ? " disk full," : "", world->tables,
		       world->acked.any ? world->acked.generation : 0,
		       world->flight.any ? ", one in flight" : "");
	world->refusals += world->refused && ours;
	world->losses += world->lost || world->config_lost;
	return !(world->refused && ours) && !world->lost && !world->config_lost;
}

static void set_up(void)
{
	struct record record = { .generation = 900, .services = 1 };

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(root) || mount("tmpfs", root, "tmpfs", 0, "size=3m") < 0 || chdir(root) < 0 ||
	    mkdir(BPFFS, 0700) < 0 || mount("bpf", BPFFS, "bpf", 0, NULL) < 0 || mkdir(PRECIOUS, 0700) < 0) {
		perror("# set up");
		exit(1);
	}
	write_plain(PRECIOUS "/file", "precious", 8);
	write_plain(PRECIOUS "/00000000000000000003.json", "{}", 2);
	store = (struct store){ .bpffs = "" };
	store_digest("{}", 2, record.config);
	if (store_open(&store, OTHER, NULL) < 0 || store_recover(&store, 0, &record, NULL) != 0)
		abort();
	store_digest("{}", 2, record.config);
	for (int i = 0; i < 3; i++, record.generation += 7)
		if (store_put_record(&store, &record, NULL) < 0)
			abort();
	store_close(&store);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 400;
	__u64 seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	size_t from = argc > 3 ? strtoul(argv[3], NULL, 10) : rounds, strangers = 0, round;

	if (geteuid() != 0) {
		puts("ok 1 - the state directory survives # SKIP needs root\n1..1");
		return 0;
	}
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	set_up();
	random_seed(seed);
	for (round = 0; round < rounds; round++) {
		loud = round >= from;
		if (!live(round) || precious_changed())
			break;
		strangers += strangers_missing();
		happen();
	}
	printf("# %zu rounds of seed %llu: %zu changes, %zu crashes, %zu times a copy was left whole\n",
	       round, seed, world->changes, world->crashes, world->recovered);
	if (round < rounds)
		printf("# round %zu: %s (in %s)\n", round, world->why, root);
	printf("%sok 1 - every round comes to its end\n", round == rounds ? "" : "not ");
	printf("%sok 2 - no acknowledged change is lost where a copy was left whole\n",
	       world->losses ? "not " : "");
	printf("%sok 3 - no start is refused\n", world->refusals ? "not " : "");
	printf("%sok 4 - what links lead to is not touched\n", precious_changed() ? "not " : "");
	printf("%sok 5 - strangers' files stay\n1..5\n", strangers ? "not " : "");
	if (chdir("/") == 0 && umount2(root, MNT_DETACH) == 0)
		rmdir(root);
	return round < rounds || world->losses || world->refusals || strangers;
}
