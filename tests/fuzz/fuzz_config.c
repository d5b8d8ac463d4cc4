/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any text as a configuration. A refusal says why and gives nothing; what is accepted can be written out and
 * read back.
 */
#include <string.h>

#include "fuzz.h"
#include "config/config.h"

static void write_and_read_back(const struct lb_config *config)
{
	struct lb_config *again = NULL;
	struct lb_error error = {};
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	FUZZ_CHECK(out && !lb_config_write(config, out) && !fclose(out), "cannot write");
	FUZZ_CHECK(!lb_config_parse(text, length, &again, &error), "what was written is refused: %s\n%s",
		   error.text, text);
	FUZZ_CHECK(again->n_services == config->n_services, "services were lost");
	lb_config_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lb_config *config = NULL;
	struct lb_error error = {};
	int r = lb_config_parse((const char *)data, size, &config, &error);

	FUZZ_CHECK(r <= 0, "returned %d", r);
	FUZZ_CHECK((r == 0) == (config != NULL), "returned %d and a configuration", r);
	FUZZ_CHECK(r == 0 || error.text[0], "refused without a word");
	if (config)
		write_and_read_back(config);
	lb_config_free(config);
	return 0;
}
