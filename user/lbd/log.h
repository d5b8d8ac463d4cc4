/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log: one line to stderr per message, with the journal's <N> prefix when stderr is the journal. Lines
 * begin with event=KIND; of one kind there are LOG_BURST at once and LOG_PER_S a second, others are counted
 * and told of.
 */
#pragma once

#include <stdbool.h>

#define LOG_BURST 200u
#define LOG_PER_S 10u

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* journal: prefix always; otherwise only when stderr is the journal (JOURNAL_STREAM). */
void log_open(bool journal, bool debug);

/* Line breaks and control characters in the text become spaces. errno is kept. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Now and then: tells of what was suppressed, of kinds that may be told of again. */
void log_tell_suppressed(void);

/* Lines that were suppressed, in all. */
unsigned long long log_suppressed(void);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
