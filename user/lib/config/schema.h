/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration's schema as data: one row per key. Everything that is said about a key lives in its row
 * (schema.c) and is used by the reader, the writer, the JSON schema and the manual page alike. Internal to
 * the library.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum lb_schema_type {
	LB_SCHEMA_INTEGER, /* whole number minimum..maximum, stored in size bytes */
	LB_SCHEMA_BOOLEAN, /* stored in a bool */
	LB_SCHEMA_CHOICE,  /* string out of choices, its value stored in size bytes */
	LB_SCHEMA_STRING,  /* string that format reads */
	LB_SCHEMA_OBJECT,
	LB_SCHEMA_ARRAY, /* of objects */
};

/* When a changed value shows. */
enum lb_schema_effect {
	LB_EFFECT_APPLY,   /* with the next apply or reload */
	LB_EFFECT_NEW,     /* with the next apply or reload, for new flows */
	LB_EFFECT_SERVICE, /* when the service is made */
	LB_EFFECT_START,   /* when lbd starts */
	LB_EFFECT_TABLES,  /* with the next apply or reload: other tables take over */
	LB_EFFECT_MAPS,    /* when the maps are made */
	LB_EFFECT_COUNT,
};

struct lb_schema_choice {
	const char *name; /* NULL ends the list */
	int value;
	const char *help;
};

#define LB_SCHEMA_REASON_MAX 200

struct lb_schema_key;

/* How a string becomes bytes in the structure and back. */
struct lb_schema_format {
	const char *accepted; /* completes "KEY must be ..." */
	const char *pattern;  /* regular expression (ECMA 262) that every accepted string matches, or NULL */
	/*
	 * Reads text into field. 0, or -EINVAL; reason then says what is wrong with this text, or is empty
	 * when there is no more to say than what is accepted.
	 */
	int (*read)(const struct lb_schema_key *key, const char *text, void *field,
		    char reason[LB_SCHEMA_REASON_MAX]);
	/* When a whole number minimum..maximum of the key is accepted, too; else NULL. */
	void (*read_number)(__s64 number, void *field);
	/* Writes the field as text; true if the text is a number rather than a string. Empty: not given. */
	bool (*print)(const void *field, char *text, size_t size);
};

/* Longest text that a format prints, with the terminating zero. */
#define LB_SCHEMA_TEXT_MAX 256

struct lb_schema_key {
	const char *name; /* NULL ends the table */
	const char *help; /* sentences for the manual page and the JSON schema */
	enum lb_schema_type type;
	enum lb_schema_effect effect;
	bool required;
	bool power_of_two;
	bool secret;   /* never shown */
	bool vouched;  /* it names a file, a program or a host: see config_vouch.h */
	bool of_ring;  /* of services and backends: the same wherever a ring is shared */
	size_t offset; /* in the object's structure; of an array: of its pointer, or of its first element */
	size_t size;   /* bytes of the field, or of an array's element */
	__s64 minimum; /* INTEGER: value. ARRAY: elements. */
	__s64 maximum;
	__s64 value;            /* default of INTEGER, BOOLEAN, CHOICE; outside the range: none */
	const char *text;       /* default of STRING, or NULL: none */
	const char *without;    /* what holds when the key is absent and has no default, for people */
	const char *range_note; /* more about what is accepted, for people, or NULL */
	size_t count_offset;    /* ARRAY: of the size_t that counts the elements */
	bool owned;             /* OBJECT: behind a pointer, NULL when it was not given */
	bool inherits;          /* not given here: as the level above says; the default is that of the top */
	bool in_place;          /* ARRAY: elements lie in the structure, not behind a pointer */
	const struct lb_schema_choice *choices;
	const struct lb_schema_format *format;
	const struct lb_schema_key *object; /* OBJECT, ARRAY: its keys */
};

/* Keys of one object at most (the reader keeps a bit for each). */
#define LB_SCHEMA_KEYS_MAX 32

/* The keys of the whole file; the structure is struct lb_config. */
extern const struct lb_schema_key lb_schema[];

/* Health: schema_health.c; the structures are in config_health.h. */
extern const struct lb_schema_key lb_schema_check_keys[];
extern const struct lb_schema_key lb_schema_breaker_keys[];
extern const struct lb_schema_key lb_schema_health_keys[];
extern const struct lb_schema_key lb_schema_checker_keys[];

/* A complete example configuration, as printed in the manual page. */
extern const char lb_schema_example[];

extern const struct lb_schema_choice lb_schema_attach[];
extern const struct lb_schema_choice lb_schema_xdp_mode[];
extern const struct lb_schema_choice lb_schema_forward[];
extern const struct lb_schema_choice lb_schema_announce_by[];
extern const struct lb_schema_choice lb_schema_algorithm[];
extern const struct lb_schema_choice lb_schema_affinity[];
extern const struct lb_schema_choice lb_schema_state[];
extern const struct lb_schema_choice lb_schema_fragments[];
extern const struct lb_schema_choice lb_schema_check_kind[];

extern const struct lb_schema_format lb_format_seed;
extern const struct lb_schema_format lb_format_name;
extern const struct lb_schema_format lb_format_interface;
extern const struct lb_schema_format lb_format_vip;
extern const struct lb_schema_format lb_format_range;
extern const struct lb_schema_format lb_format_address;
extern const struct lb_schema_format lb_format_source_v4;
extern const struct lb_schema_format lb_format_source_v6;
extern const struct lb_schema_format lb_format_port;
extern const struct lb_schema_format lb_format_socket;
extern const struct lb_schema_format lb_format_listen;
extern const struct lb_schema_format lb_format_server_id;
extern const struct lb_schema_format lb_format_method;
extern const struct lb_schema_format lb_format_http_path;
extern const struct lb_schema_format lb_format_host;
extern const struct lb_schema_format lb_format_file;
extern const struct lb_schema_format lb_format_status;
extern const struct lb_schema_format lb_format_check_text;
extern const struct lb_schema_format lb_format_mark;

/* What a key accepts, to complete "KEY must be ...". Returns the buffer. */
#define LB_SCHEMA_ACCEPTED_MAX 256
const char *lb_schema_accepted(const struct lb_schema_key *key, char buffer[LB_SCHEMA_ACCEPTED_MAX]);

/* Whether a default exists (an INTEGER outside its range stands for "none"). */
bool lb_schema_has_default(const struct lb_schema_key *key);

/* Whether a key without default has been given in its structure. */
bool lb_schema_given(const struct lb_schema_key *key, const void *base);

/* Makes a zeroed structure one in which nothing is given. */
void lb_schema_clear(const struct lb_schema_key *keys, void *base);

/* "when lbd starts" */
const char *lb_schema_effect_text(enum lb_schema_effect effect);

/* Integers of 1, 2, 4 or 8 bytes in a structure. */
__s64 lb_schema_load(const void *field, size_t size);
void lb_schema_store(void *field, size_t size, __s64 value);
