/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configured interfaces and their attachments.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

struct lbd;

/* Every configured interface exists: -ENODEV and the place of the first that does not. */
int interfaces_check(const struct lbd *lbd, const struct lb_config *config, struct lb_error *error);

/*
 * Attaches to the interfaces of a configuration, with a program made for their number. Interfaces that are
 * missing are waited for. An interface that refuses is an error: what this call attached is undone.
 */
int interfaces_attach(struct lbd *lbd, const struct lb_config *config, struct lb_error *error);

/* The program for the interfaces as they are, loaded if need be: lbd->program_fd, or -errno. */
int interfaces_program(struct lbd *lbd, struct lb_error *error);

/* Before interfaces_attach(): which interfaces the program will be for, where that is to be known earlier. */
int interfaces_expect(struct lbd *lbd, const struct lb_config *config, struct lb_error *error);

/* The same program over other maps, loaded anew, beside the loop: a descriptor, the caller's, or -errno. */
struct maps;
int interfaces_load(struct lbd *lbd, const struct maps *maps, struct lb_error *error);
/* It is lbd->program_fd from now on; -1: there is none. */
void interfaces_take_program(struct lbd *lbd, int fd);

/* Detaches from interfaces that the configuration does not name, and has the others as it wants them. */
void interfaces_trim(struct lbd *lbd, const struct lb_config *config);

/*
 * Whether the programs are to be loaded for frames in several buffers (program_load): no interface is shared
 * through the dispatcher, or is to be.
 */
bool interfaces_frags(const struct lbd *lbd);

/* The index of an interface of a configuration: what is attached for it, whatever it is called now, or else
 * what has the name; 0: none. */
int interfaces_index(const struct lbd *lbd, const struct lb_config_interface *wanted);

/* The mode that an interface is attached in, or else is to be. */
enum lb_xdp_mode interfaces_mode(const struct lbd *lbd, const struct lb_config_interface *wanted);

/* What a configuration calls the interface now that another one called so, and that is attached; NULL: it has
 * none that is the same. */
const struct lb_config_interface *interfaces_called_now(const struct lbd *lbd, const struct lb_config *next,
							const char *name);

/* Brings the interfaces that are attached to the program that is wanted of them now (capture.h). */
int interfaces_reprogram(struct lbd *lbd, struct lb_error *error);

/* Links came or went: attaches to what came back, notes what is gone. */
void interfaces_update(struct lbd *lbd);

/* Whether what is attached still is; attaches again what is not. */
void interfaces_verify(struct lbd *lbd);
void interfaces_close(struct lbd *lbd);
