// SPDX-License-Identifier: GPL-2.0-only
/*
 * drops SERVICE. Counters of drops are of the whole balancer; whose packets they are is seen in the packets:
 * what is dropped of the service is captured for some seconds, and the comments that lbd writes beside each
 * packet say why.
 */
#include "lbctl/drops.h"

#include <errno.h>
#include <linux/types.h>
#include <string.h>

#include "lbctl/agent.h"
#include "lbctl/capture.h"
#include "lbctl/format.h"
#include "lbctl/table.h"
#include "packet/frame_text.h"

#define SECONDS_DEFAULT 5u
#define EXAMPLE_INDENT  19 /* columns before the text */
#define REASONS_MAX     64u
#define NAME_MAX_BYTES  32u

/* pcapng: an enhanced packet block, and the option that is a comment. */
#define BLOCK_PACKET   6u
#define OPTION_COMMENT 1u
struct block {
	__u32 type, length;
	__u32 interface, time_high, time_low, bytes, frame_bytes;
	unsigned char data[];
};

struct seen {
	char reason[NAME_MAX_BYTES];
	unsigned long long packets;
	const unsigned char *example; /* the first one */
	__u32 bytes, frame_bytes;
};

struct count {
	struct seen seen[REASONS_MAX];
	size_t n;
	unsigned long long packets, lost, seconds;
};

static struct seen *find(struct count *count, const char *reason)
{
	size_t i = 0;

	while (i < count->n && strcmp(count->seen[i].reason, reason) != 0)
		i++;
	if (i == REASONS_MAX)
		return NULL;
	if (i == count->n)
		snprintf(count->seen[count->n++].reason, NAME_MAX_BYTES, "%s", reason);
	return &count->seen[i];
}

/* The value of reason= in the comment of a packet; false: there is none. */
static bool read_reason(const unsigned char *options, size_t left, char reason[NAME_MAX_BYTES])
{
	static const char key[] = "reason=";
	__u16 head[2];

	for (; left >= sizeof(head); options += head[1], left -= head[1]) {
		const char *at;

		memcpy(head, options, sizeof(head));
		options += sizeof(head);
		left -= sizeof(head);
		if (head[1] > left)
			return false;
		at = head[0] == OPTION_COMMENT ? memmem(options, head[1], key, sizeof(key) - 1) : NULL;
		if (at) {
			size_t room = (size_t)((const char *)options + head[1] - at) - (sizeof(key) - 1),
			       n = 0;

			for (at += sizeof(key) - 1; n < room && n < NAME_MAX_BYTES - 1 && at[n] != ' '; n++)
				reason[n] = at[n];
			reason[n] = '\0';
			return true;
		}
		head[1] = (__u16)((head[1] + 3u) & ~3u);
		if (head[1] > left)
			return false;
	}
	return false;
}

static void take(struct count *count, const struct block *block)
{
	size_t data = ((size_t)block->bytes + 3) & ~(size_t)3,
	       all = block->length - sizeof(*block) - sizeof(__u32);
	char reason[NAME_MAX_BYTES];
	struct seen *seen;

	/* Interface 0 is what came in. */
	if (block->interface != 0 || data > all || !read_reason(block->data + data, all - data, reason))
		return;
	seen = find(count, reason);
	if (!seen)
		return;
	count->packets++;
	if (seen->packets++)
		return;
	seen->example = block->data;
	seen->bytes = block->bytes;
	seen->frame_bytes = block->frame_bytes;
}

/* Blocks are of whole words, and so is what malloc() gives. */
static void count_all(struct count *count, const unsigned char *file, size_t left)
{
	while (left >= sizeof(struct block)) {
		const struct block *block = (const void *)file;

		if (block->length < 12 || block->length % 4 || block->length > left)
			return;
		if (block->type == BLOCK_PACKET && block->length >= sizeof(*block) + sizeof(__u32))
			take(count, block);
		file += block->length;
		left -= block->length;
	}
}

static const char *meaning(const cJSON *drops, const char *name)
{
	const cJSON *reason;

	cJSON_ArrayForEach (reason, json_get(drops, "reasons"))
		if (strcmp(json_text(reason, "reason"), name) == 0)
			return json_text(reason, "help");
	return "";
}

static void print_human(const struct lbctl *c, const struct count *count, const cJSON *drops)
{
	static const struct column columns[] = {
		{ "REASON", 0 },
		{ "PACKETS", COLUMN_RIGHT },
		{ "PER S", COLUMN_RIGHT },
		{ "MEANING", COLUMN_WRAP },
		{ NULL, 0 },
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);

	for (size_t i = 0; i < count->n; i++) {
		const struct seen *seen = &count->seen[i];

		table_cell(table, "%s", seen->reason);
		table_cell(table, "%s", format_count((double)seen->packets).text);
		table_cell(table, "%.1f", (double)seen->packets / (double)count->seconds);
		table_cell(table, "%s", meaning(drops, seen->reason));
	}
	if (!count->n)
		printf("no packet of %s was dropped in %llu s\n", c->argument[0], count->seconds);
	else
		table_print(table, c);
	for (size_t i = 0; i < count->n; i++) {
		const struct seen *seen = &count->seen[i];
		char text[LB_FRAME_TEXT_MAX];
		_cleanup_(freep) char *line =
			lbctl_format("%u bytes: %s", seen->frame_bytes,
				     lb_frame_text(seen->example, seen->bytes, seen->frame_bytes, text));

		printf("%s  %-16s ", i ? "" : "\nexamples\n", seen->reason);
		print_folded(c, EXAMPLE_INDENT, line);
	}
	if (count->lost)
		printf("\n%llu more were dropped than could be looked at\n", count->lost);
}

static cJSON *add(cJSON *to, const char *key, unsigned long long value)
{
	cJSON *item = cJSON_AddNumberToObject(to, key, 0);

	if (!item)
		lbctl_memory();
	json_set_u64(item, value);
	return item;
}

static void print_json(const struct lbctl *c, const struct count *count)
{
	_cleanup_(cjson_freep) cJSON *root = cJSON_CreateObject();
	cJSON *reasons = NULL;

	if (!root || !cJSON_AddStringToObject(root, "service", c->argument[0]))
		lbctl_memory();
	add(root, "seconds", count->seconds);
	add(root, "packets", count->packets);
	add(root, "lost", count->lost);
	reasons = cJSON_AddArrayToObject(root, "reasons");
	for (size_t i = 0; reasons && i < count->n; i++) {
		cJSON *reason = cJSON_CreateObject();

		if (!reason || !cJSON_AddItemToArray(reasons, reason) ||
		    !cJSON_AddStringToObject(reason, "reason", count->seen[i].reason))
			lbctl_memory();
		add(reason, "packets", count->seen[i].packets);
	}
	if (!reasons)
		lbctl_memory();
	json_print(root);
}

/* All of a file, terminated by nothing. The caller frees it. */
static unsigned char *read_back(FILE *file, size_t *ret_n)
{
	unsigned char *bytes;
	long n;

	if (fseek(file, 0, SEEK_END) < 0 || (n = ftell(file)) < 0)
		return NULL;
	rewind(file);
	bytes = malloc((size_t)n + 1);
	if (!bytes)
		lbctl_memory();
	*ret_n = fread(bytes, 1, (size_t)n, file);
	return bytes;
}

int drops_of_service(struct lbctl *c)
{
	_cleanup_(freep) char *service = agent_escape(c->argument[0]), *query = NULL;
	_cleanup_(reply_done) struct reply reply = { 0 };
	struct count count = { .seconds = SECONDS_DEFAULT };
	_cleanup_(freep) unsigned char *bytes = NULL;
	_cleanup_(fclosep) FILE *file = NULL;
	size_t n = 0;
	int r;

	if (option_given(c, OPTION_INTERVAL) || option_given(c, OPTION_COUNT))
		return lbctl_usage(c, "drops of a SERVICE are looked at for --seconds S, once");
	if (!option_number(c, OPTION_SECONDS, 1, 86400, &count.seconds))
		return EXIT_WRONG_USAGE;
	r = agent_get(c, "/v1/drops", "reasons", &reply);
	if (r != EXIT_DONE)
		return r;
	file = tmpfile();
	if (!file)
		return lbctl_fail(c, "cannot make a temporary file: %s", strerror(errno));
	query = lbctl_format("service=%s&drops=1&seconds=%llu", service, count.seconds);
	r = capture_into(c, query, file, &count.lost);
	if (r != EXIT_DONE)
		return r;
	bytes = read_back(file, &n);
	if (bytes)
		count_all(&count, bytes, n);
	if (c->json)
		print_json(c, &count);
	else
		print_human(c, &count, reply.root);
	return EXIT_DONE;
}
