/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Feeds a fuzz target its corpus, and a fixed number of random changes of it, without a fuzzing engine: what
 *make check runs. An input that ends the program is left in build/fuzz/crash-NAME.
 *
 *	replay_NAME DIRECTORY [CHANGES [SEED]]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX  65536
#define INPUTS_MAX 4096

struct input {
	uint8_t *bytes;
	size_t size;
};

static struct input inputs[INPUTS_MAX];
static size_t n_inputs;
static struct input running;
static char crash_file[256];

void __sanitizer_set_death_callback(void (*callback)(void));

static void leave_input(void)
{
	int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, running.bytes, running.size) < 0)
		return;
	close(fd);
	fprintf(stderr, "# the input is in %s\n", crash_file);
}

static void on_abort(int number)
{
	leave_input();
	signal(number, SIG_DFL);
	raise(number);
}

static void read_input(const char *directory, const char *name)
{
	char path[1024];
	struct input *input = &inputs[n_inputs];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	if (!file || n_inputs == INPUTS_MAX) {
		fprintf(stderr, "Failed to read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	input->bytes = malloc(INPUT_MAX);
	input->size = input->bytes ? fread(input->bytes, 1, INPUT_MAX, file) : 0;
	fclose(file);
	n_inputs++;
}

static int by_size_and_bytes(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->size);
}

static void read_corpus(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory) {
		fprintf(stderr, "Failed to read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			read_input(path, entry->d_name);
	closedir(directory);
	/* The same order everywhere, so that a seed means the same. */
	qsort(inputs, n_inputs, sizeof(inputs[0]), by_size_and_bytes);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* An exact copy on the heap: one byte beyond it is found. */
static void feed(const uint8_t *bytes, size_t size)
{
	running.bytes = malloc(size ? size : 1);
	if (!running.bytes)
		exit(1);
	memcpy(running.bytes, bytes, size);
	running.size = size;
	LLVMFuzzerTestOneInput(running.bytes, size);
	free(running.bytes);
	running = (struct input){};
}

static void change_and_feed(uint64_t *random)
{
	static uint8_t changed[INPUT_MAX + 64];
	static const uint8_t telling[] = { 0, 1, 0x7f, 0x80, 0xff, 4, 6, 17, 58, 0x40, 0x45, 0x4f, 0x60 };
	const struct input *from = &inputs[next_random(random) % n_inputs];
	size_t size = from->size;

	memcpy(changed, from->bytes, size);
	for (uint64_t turns = 1 + next_random(random) % 4; turns && size; turns--) {
		size_t at = next_random(random) % size, n = next_random(random) % 32;

		switch (next_random(random) % 6) {
		case 0:
			changed[at] ^= (uint8_t)(1u << next_random(random) % 8);
			break;
		case 1:
			changed[at] = (uint8_t)next_random(random);
			break;
		case 2:
			changed[at] = telling[next_random(random) % sizeof(telling)];
			break;
		case 3:
			size -= n < size - at ? n : size - at;
			break;
		case 4: /* bytes of another input */
			from = &inputs[next_random(random) % n_inputs];
			if (from->size > n && at + n <= size)
				memcpy(changed + at, from->bytes + next_random(random) % (from->size - n), n);
			break;
		case 5:
			if (size + n <= INPUT_MAX) {
				memmove(changed + at + n, changed + at, size - at);
				size += n;
			}
			break;
		}
	}
	feed(changed, size);
}

int main(int argc, char **argv)
{
	unsigned long changes = argc > 2 ? strtoul(argv[2], NULL, 0) : 100000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1, random = seed * 0x9e3779b97f4a7c15 + 1;
	const char *name;

	if (argc < 2) {
		fprintf(stderr, "usage: %s DIRECTORY [CHANGES [SEED]]\n", argv[0]);
		return 2;
	}
	name = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
	mkdir("build/fuzz", 0755);
	snprintf(crash_file, sizeof(crash_file), "build/fuzz/crash-%s", name);
	__sanitizer_set_death_callback(leave_input);
	signal(SIGABRT, on_abort);
	read_corpus(argv[1]);
	printf("1..2\n");
	for (size_t i = 0; i < n_inputs; i++)
		feed(inputs[i].bytes, inputs[i].size);
	printf("%s 1 - %s: %zu inputs of the corpus\n", n_inputs ? "ok" : "not ok", name, n_inputs);
	fflush(stdout);
	for (unsigned long i = 0; n_inputs && i < changes; i++)
		change_and_feed(&random);
	printf("ok 2 - %s: %lu changes of them, seed %llu\n", name, changes, (unsigned long long)seed);
	for (size_t i = 0; i < n_inputs; i++)
		free(inputs[i].bytes);
	return n_inputs ? 0 : 1;
}
