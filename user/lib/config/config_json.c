// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strict JSON syntax (RFC 8259), where cJSON is lenient: cJSON takes control characters, wrong UTF-8 and
 * leading zeros, cuts strings at \u0000, and knows no more about an error than its offset. The scanner here
 * goes over the text once, says what is wrong and where, and also finds the offset of any value, so that
 * errors about the content can name a line. It accepts a subset of what cJSON accepts.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

#include "config/config_json.h"

/* cJSON reads no more of a number. */
#define NUMBER_LENGTH_MAX 63

struct scan {
	const char *text;
	size_t length;
	size_t at;
	unsigned int depth;
	size_t values; /* seen so far, in the order of the text */
	size_t wanted; /* stop at this one; SIZE_MAX: none */
	char *problem;
};

static int scan_value(struct scan *scan);

static int wrong(struct scan *scan, size_t at, const char *problem)
{
	scan->at = at;
	snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "%s", problem);
	return -EINVAL;
}

/* The byte at the position; -1 at the end. */
static int peek(const struct scan *scan)
{
	return scan->at < scan->length ? (unsigned char)scan->text[scan->at] : -1;
}

static bool blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void skip_blanks(struct scan *scan)
{
	while (scan->at < scan->length && blank(scan->text[scan->at]))
		scan->at++;
}

/* Something other than what expected says; names the usual suspects. */
static int unexpected(struct scan *scan, const char *expected)
{
	int c = peek(scan);

	if (c < 0)
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "the text ends where %s is expected", expected);
	else if (c == 0)
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "a zero byte; expected %s", expected);
	else if (c == '/' || c == '#')
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "'%c': JSON has no comments; expected %s", c,
			 expected);
	else if (c == '\'')
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX,
			 "a string is written in double quotes; expected %s", expected);
	else if (c > ' ' && c < 0x7f)
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "unexpected '%c'; expected %s", c, expected);
	else
		snprintf(scan->problem, LB_JSON_PROBLEM_MAX, "unexpected byte 0x%02x; expected %s", c,
			 expected);
	return -EINVAL;
}

/* Four hexadecimal digits at offset at; -1 if they are not. */
static int hex4(const struct scan *scan, size_t at)
{
	int value = 0;

	if (at + 4 > scan->length)
		return -1;
	for (size_t i = at; i < at + 4; i++) {
		int c = scan->text[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value = value << 4 | ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* The position is at a backslash; moves behind the escape. */
static int scan_escape(struct scan *scan)
{
	size_t start = scan->at++;
	int c = peek(scan), code, low;

	scan->at++;
	if (c >= 0 && c != 0 && strchr("\"\\/bfnrt", c))
		return 0;
	if (c != 'u')
		return wrong(scan, start,
			     "unknown escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
	code = hex4(scan, scan->at);
	if (code < 0)
		return wrong(scan, start, "\\u must be followed by 4 hexadecimal digits");
	if (code == 0)
		return wrong(scan, start, "a string cannot hold a zero byte (\\u0000)");
	scan->at += 4;
	if (code < 0xd800 || code > 0xdfff)
		return 0;
	low = code < 0xdc00 && scan->at + 6 <= scan->length && scan->text[scan->at] == '\\' &&
			      scan->text[scan->at + 1] == 'u'
		      ? hex4(scan, scan->at + 2)
		      : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return wrong(scan, start,
			     "half of a surrogate pair; write \\uD8xx\\uDCxx, or the character itself");
	scan->at += 6;
	return 0;
}

/* Length of the UTF-8 character at the position (RFC 3629: no overlong forms, no surrogates); 0: wrong. */
static size_t utf8_length(const struct scan *scan)
{
	const unsigned char *c = (const unsigned char *)scan->text + scan->at;
	size_t left = scan->length - scan->at, length;

	if (c[0] < 0x80)
		return 1;
	length = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
		 : (c[0] & 0xf0) == 0xe0        ? 3
		 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
						: 0;
	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
	    (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

/* A character that stands for itself in a string, and in UTF-8. */
static bool plain(unsigned char c)
{
	return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* The position is at a double quote; moves behind the closing one. */
static int scan_string(struct scan *scan)
{
	size_t start = scan->at++, length;
	int c, r;

	for (;;) {
		while (scan->at < scan->length && plain((unsigned char)scan->text[scan->at]))
			scan->at++;
		c = peek(scan);
		if (c == '"')
			break;
		if (c < 0)
			return wrong(scan, start, "this string has no closing quote");
		if (c == 0)
			return wrong(scan, scan->at, "a zero byte in a string");
		if (c == '\n' || c == '\r')
			return wrong(scan, start, "this string has no closing quote on its line");
		if (c < ' ')
			return wrong(scan, scan->at, "a control character in a string; write it as \\u00XX");
		if (c == '\\') {
			r = scan_escape(scan);
			if (r < 0)
				return r;
			continue;
		}
		length = utf8_length(scan);
		if (length == 0)
			return wrong(scan, scan->at, "not UTF-8");
		scan->at += length;
	}
	scan->at++;
	return 0;
}

static size_t skip_digits(struct scan *scan)
{
	size_t start = scan->at;

	while (scan->at < scan->length && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
		scan->at++;
	return scan->at - start;
}

static int scan_number(struct scan *scan)
{
	size_t start = scan->at;
	bool zero;

	if (peek(scan) == '-')
		scan->at++;
	zero = peek(scan) == '0';
	if (skip_digits(scan) == 0)
		return unexpected(scan, "a digit");
	if (zero && scan->at - start > (scan->text[start] == '-' ? 2u : 1u))
		return wrong(scan, start, "a number cannot begin with a zero");
	if (peek(scan) == '.') {
		scan->at++;
		if (skip_digits(scan) == 0)
			return unexpected(scan, "a digit");
	}
	if (peek(scan) == 'e' || peek(scan) == 'E') {
		scan->at++;
		if (peek(scan) == '+' || peek(scan) == '-')
			scan->at++;
		if (skip_digits(scan) == 0)
			return unexpected(scan, "a digit");
	}
	if (scan->at - start > NUMBER_LENGTH_MAX)
		return wrong(scan, start, "a number of more than 63 characters");
	return 0;
}

static int scan_word(struct scan *scan)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);

		if (scan->length - scan->at >= length &&
		    memcmp(scan->text + scan->at, words[i], length) == 0) {
			scan->at += length;
			return 0;
		}
	}
	return unexpected(scan, "a value (object, list, string, number, true or false)");
}

/* A key, a colon and a value. */
static int scan_member(struct scan *scan)
{
	int r;

	if (peek(scan) != '"')
		return unexpected(scan, "a key in double quotes");
	r = scan_string(scan);
	if (r < 0)
		return r;
	skip_blanks(scan);
	if (peek(scan) != ':')
		return unexpected(scan, "':' after the key");
	scan->at++;
	return scan_value(scan);
}

/* An object or array, from its opening bracket to behind its closing one. */
static int scan_list(struct scan *scan, char close)
{
	const char *expected = close == '}' ? "',' or '}'" : "',' or ']'";
	size_t comma;
	int r;

	if (++scan->depth > LB_JSON_DEPTH_MAX)
		return wrong(scan, scan->at, "nested deeper than 32 levels");
	scan->at++;
	skip_blanks(scan);
	if (peek(scan) == close)
		goto closed;
	for (;;) {
		r = close == '}' ? scan_member(scan) : scan_value(scan);
		if (r < 0)
			return r;
		skip_blanks(scan);
		if (peek(scan) == close)
			goto closed;
		if (peek(scan) != ',')
			return unexpected(scan, expected);
		comma = scan->at++;
		skip_blanks(scan);
		if (peek(scan) == close)
			return wrong(scan, comma, "a comma before the closing bracket; remove it");
	}
closed:
	scan->at++;
	scan->depth--;
	return 0;
}

/* Blanks and one value. -EINTR: the wanted one begins at the position. */
static int scan_value(struct scan *scan)
{
	int c;

	skip_blanks(scan);
	if (scan->values++ == scan->wanted)
		return -EINTR;
	c = peek(scan);
	if (c == '{')
		return scan_list(scan, '}');
	if (c == '[')
		return scan_list(scan, ']');
	if (c == '"')
		return scan_string(scan);
	if (c == '-' || (c >= '0' && c <= '9'))
		return scan_number(scan);
	return scan_word(scan);
}

static size_t byte_order_mark(const char *text, size_t length)
{
	return length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int lb_json_check(const char *text, size_t length, size_t *ret_offset, char problem[LB_JSON_PROBLEM_MAX])
{
	struct scan scan = { .text = text, .length = length, .wanted = SIZE_MAX, .problem = problem };
	int r;

	scan.at = byte_order_mark(text, length);
	skip_blanks(&scan);
	if (scan.at == length)
		r = wrong(&scan, 0, "there is no text; expected a configuration: { \"version\": 1, ... }");
	else
		r = scan_value(&scan);
	if (r == 0) {
		skip_blanks(&scan);
		if (scan.at < length)
			r = unexpected(&scan, "nothing more after the last closing bracket");
	}
	if (r < 0)
		*ret_offset = scan.at;
	return r;
}

/* Place of a node among the values in the order of the text; *number counts. Depth is bounded. */
static bool find_node(const cJSON *from, const cJSON *node, size_t *number)
{
	const cJSON *child;

	if (from == node)
		return true;
	(*number)++;
	cJSON_ArrayForEach (child, from) {
		if (find_node(child, node, number))
			return true;
	}
	return false;
}

size_t lb_json_offset(const char *text, size_t length, const cJSON *root, const cJSON *node)
{
	char problem[LB_JSON_PROBLEM_MAX];
	struct scan scan = { .text = text, .length = length, .problem = problem };

	scan.at = byte_order_mark(text, length);
	if (!find_node(root, node, &scan.wanted))
		return 0;
	scan_value(&scan);
	return scan.at;
}

void lb_json_position(const char *text, size_t offset, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, column = 1;

	for (size_t i = byte_order_mark(text, offset); i < offset; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

/* Copies text, cut at a character, with "..." at the end of what was cut. */
static void copy_cut(char *buffer, size_t size, const char *text)
{
	size_t length = strlen(text);

	if (length >= size) {
		length = size - sizeof("...");
		while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
		memcpy(buffer, text, length);
		strcpy(buffer + length, "...");
		return;
	}
	memcpy(buffer, text, length + 1);
}

const char *lb_json_value(const cJSON *node, char *buffer, size_t size)
{
	char *text;

	buffer[0] = 0;
	if (!node)
		return buffer;
	if (cJSON_IsNumber(node) && isinf(node->valuedouble)) {
		snprintf(buffer, size, "%s 1.8e308", node->valuedouble > 0 ? "above" : "below minus");
		return buffer;
	}
	if (cJSON_IsNumber(node)) {
		snprintf(buffer, size, "%.15g", node->valuedouble);
		if (strtod(buffer, NULL) != node->valuedouble)
			snprintf(buffer, size, "%.17g", node->valuedouble);
		return buffer;
	}
	text = cJSON_PrintUnformatted(node);
	if (!text)
		return buffer;
	copy_cut(buffer, size, text);
	cJSON_free(text);
	return buffer;
}

const char *lb_json_string(const char *text, char *buffer, size_t size)
{
	cJSON *node = cJSON_CreateStringReference(text);

	lb_json_value(node, buffer, size);
	cJSON_Delete(node);
	return buffer;
}

void lb_json_quote(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}
