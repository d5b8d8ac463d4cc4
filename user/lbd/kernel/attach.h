/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path's program on interfaces. An exclusive attachment is a bpf_link pinned beside the maps: it
 * outlives the agent, and another version of the program replaces the running one by an update of the link,
 * never by a detach. Sharing the interface goes through libxdp's dispatcher, where the kernel lets it.
 */
#pragma once

#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "lbd/kernel/attachment.h"
#include "base/error.h"

struct capture_program;
struct maps;

void attachment_init(struct attachment *attachment, const struct lb_config_interface *wanted);

/*
 * Attaches the program exclusively to the interface that it is on, or else to that which has the name, or
 * brings what is attached up to date: adopts a pinned link, updates it when the program differs, makes one
 * anew when there is none or the old interface is gone. generic_ok: use generic mode where the driver has no
 * native one. 0; -ENODEV: there is no such interface; other errnos of the kernel with what to do in *error
 * (also kept in attachment->error).
 */
int attachment_make(struct attachment *attachment, const struct maps *maps, int program_fd, bool generic_ok,
		    struct lb_error *error);

/*
 * The same through the dispatcher, which loads a program of its own. known_id: a program that is known to be
 * the one that is wanted, 0: none. capture: the program is a copy of this one, or NULL. -EOPNOTSUPP: not
 * possible here, attachment->note says why; attach exclusively.
 */
int attachment_share(struct attachment *attachment, const struct maps *maps, bool several_interfaces,
		     const struct capture_program *capture, __u32 known_id, struct lb_error *error);

/*
 * An exclusive attachment that is to be shared now stays as it is, and its note says what to do. True if the
 * note is new.
 */
bool attachment_note_exclusive(struct attachment *attachment);

/*
 * Whether the attachment is what it is thought to be. 0; -ENOLINK: somebody took the program off, make it
 * anew; -ESTALE: somebody put another program there.
 */
int attachment_verify(const struct attachment *attachment);

/* Whether its pin is there, without which the packet path would end with the agent. 0; 1: it was gone, and is
 * there again; -errno: it is gone. */
int attachment_verify_pin(struct attachment *attachment, const struct maps *maps);

/* Closes what the agent holds; packets go on. */
void attachment_close(struct attachment *attachment);

/* Takes the program off the interface and removes the pin. */
int attachment_remove(struct attachment *attachment, const struct maps *maps);

/* Removes every attachment whose pin is in the directory, or whose program uses the maps. Returns how many,
 * or the first -errno. */
int attachments_remove_all(const struct maps *maps, struct lb_error *error);

/* Whether some link is pinned in the directory. */
bool attachments_any(const struct maps *maps);
