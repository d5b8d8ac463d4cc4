// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of reasons, and notes.
 */
#include "kube/reasons.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[] = {
#define NAME(name, type, help) #name,
	LB_KUBE_REASONS(NAME)
#undef NAME
};

static const char *const types[] = {
#define TYPE(name, type, help) #type,
	LB_KUBE_REASONS(TYPE)
#undef TYPE
};

const char *lb_kube_reason_name(enum lb_kube_reason reason)
{
	return names[reason];
}

const char *lb_kube_reason_type(enum lb_kube_reason reason)
{
	return types[reason];
}

void lb_kube_note(struct lb_kube_notes *notes, enum lb_kube_reason reason, const char *format, ...)
{
	struct lb_kube_note *note = &notes->all[notes->n];
	va_list arguments;

	for (unsigned int i = 0; i < notes->n; i++)
		if (notes->all[i].reason == reason)
			return;
	if (notes->n == LB_KUBE_NOTES_MAX)
		return;
	notes->n++;
	note->reason = reason;
	va_start(arguments, format);
	vsnprintf(note->text, sizeof(note->text), format, arguments);
	va_end(arguments);
}
