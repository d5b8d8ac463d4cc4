/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pinned maps and the program over them. Maps are made once and outlive the agent; who starts next
 * adopts them after checking that they are what it knows.
 */
#pragma once

#include <linux/limits.h>
#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "engine/tables.h"

struct lb_ingress_bpf;
struct lb_observe;
struct lb_observe_cpu;

/* X(member of maps->fd and memory, name in bpf/maps.h, memory-mapped) */
#define MAPS(X)                                                                                              \
	X(CONTROL, lb_control, 1)                                                                            \
	X(VIPS, lb_vips, 1)                                                                                  \
	X(BANKS, lb_banks, 1)                                                                                \
	X(RINGS, lb_rings, 1)                                                                                \
	X(STAMPS, lb_stamps, 1)                                                                              \
	X(BACKENDS, lb_backends, 1)                                                                          \
	X(BACKEND_IDS, lb_backend_ids, 1)                                                                    \
	X(COUNTERS, lb_counters, 1)                                                                          \
	X(REASONS, lb_reasons, 1)                                                                            \
	X(FLOWS, lb_flows, 1)                                                                                \
	X(SERVICE_META, lb_service_meta, 1)                                                                  \
	X(BACKEND_META, lb_backend_meta, 1)                                                                  \
	X(DEVMAP, lb_devmap, 0)                                                                              \
	X(PORTS, lb_ports, 1)                                                                                \
	X(STATIONS, lb_stations, 1)                                                                          \
	X(FILTERS, lb_filters, 1)                                                                            \
	X(OBSERVE, lb_observe, 1)                                                                            \
	X(OBSERVED, lb_observed, 1)                                                                          \
	X(OBSERVE_EVENTS, lb_observe_events, 0)                                                              \
	X(SERVICE_COUNTERS, lb_service_counters, 1)                                                          \
	X(LAYOUT, lb_layout, 1)                                                                              \
	X(NEIGHBORS, lb_neighbors, 1)

enum map_id {
#define X(id, name, mapped) MAP_##id,
	MAPS(X)
#undef X
		MAP_KNOWN, /* behind them: maps of packets alone, that the agent only makes and pins */
};
#define MAPS_MAX 32

struct bpf_map;
struct bpf_object;

struct maps {
	char directory[PATH_MAX]; /* of links, programs and, after a change of sets, maps */
	char pins[PATH_MAX];      /* of these maps: the directory, or one of maps_set.h in it */
	int directory_fd;         /* its lock says whose the directory is */
	bool made_directory;
	size_t n;
	char name[MAPS_MAX][32];
	int fd[MAPS_MAX];
	void *memory[MAPS_MAX];
	size_t bytes[MAPS_MAX];  /* of memory: whole pages */
	size_t length[MAPS_MAX]; /* and of the values in it */
	struct lb_tables tables;
	struct lb_stations *stations;
	struct lb_neighbors *neighbors;
	struct lb_observe *observe;
	struct lb_observe_cpu *observed; /* by CPU */
	__u64 *ports;                    /* LB_PORTS_MAX interface indices; 0: free */
	bool flat;                       /* see flat_tables.h */
	bool created;                    /* by us just now */
	bool swapping;                   /* packets may still be looking at the set before (maps_set.h) */
	__u32 former_id; /* then: the kernel's id of that set's lb_control; 0: there is none */
	__u64 created_s; /* wall clock, of the maps: counters count since then */
};

/*
 * Takes the directory (on a bpf file system; made if need be) for this process. -EBUSY: another lbd has it,
 * the error names its pid. maps must be zeroed before.
 */
int maps_lock(struct maps *maps, const char *directory, struct lb_error *error);

/* A map of the packet path by the name that it is pinned under, or NULL. */
struct bpf_map *maps_find(const struct bpf_object *object, const char *name);

/* Whether there are maps to adopt. */
bool maps_exist(const struct maps *maps);

/* The generation that packets see in them, before they are adopted; 0: none, or not of a layout that we know.
 */
__u64 maps_generation(const struct maps *maps);

/* The layout of those in maps->pins; 0: there are none, or they are not ours. */
__u32 maps_layout(const struct maps *maps);

/*
 * Adopts the maps that are pinned there, whatever their sizes, or makes and pins maps of the given sizes,
 * with the flow key drawn and generation as the number to go on from; flat where the kernel takes that,
 * unless chunked. -EPROTO: what is pinned is not ours or of another layout; nothing was changed, and the
 * error says what to do.
 */
int maps_open(struct maps *maps, const struct lb_table_sizes *sizes, bool chunked, __u64 generation,
	      struct lb_error *error);
void maps_close(struct maps *maps);

/* Whether all pins are there and are of these maps, and the directory is; makes anew what is not. How many,
 * or -errno. */
int maps_verify(struct maps *maps, struct lb_error *error);

/* Removes what maps_lock() and maps_open() have made: pins of maps that were not adopted, and the directory.
 */
void maps_undo(struct maps *maps);

/* Removes every pin of ours in the directory, and the directory. */
int maps_unpin(struct maps *maps, struct lb_error *error);

/* Opens the program over these maps, not yet loaded (libxdp loads by itself). */
int program_open(const struct maps *maps, bool several_interfaces, struct lb_ingress_bpf **ret_program,
		 struct lb_error *error);

/* Gives the maps to an object that is not yet loaded. */
struct bpf_object;
int program_reuse_maps(const struct maps *maps, struct bpf_object *object, struct lb_error *error);

/* Says that a program, not yet loaded, is for frames in several buffers (jumbo). */
struct bpf_program;
void program_set_frags(struct bpf_program *program);

/*
 * Loads it: a descriptor, or -errno. frags: as program_set_frags(). All programs that redirect through one
 * device map must be of one kind, that of the first one (-EINVAL: it is not), and a program in libxdp's
 * dispatcher is without: so are then the others.
 */
int program_load(const struct maps *maps, bool several_interfaces, bool frags, struct lb_error *error);

/* Says of which object, with which constants, a program is made. */
#define PROGRAM_DIGEST 33
void program_digest(const struct maps *maps, bool several_interfaces, bool frags,
		    char ret_digest[PROGRAM_DIGEST]);

/* Its id and tag in the kernel; id 0 when they cannot be told. */
struct program_identity {
	__u32 id;
	char tag[17]; /* hexadecimal */
};
void program_identify(int fd, struct program_identity *ret_identity);

/* Pins the program that interfaces run, in place of the one before. 0 or -errno. */
int program_pin(const struct maps *maps, int fd);

/* A program by its id: the pinned one if that is it; others only with CAP_SYS_ADMIN. A descriptor or -errno.
 */
int program_by_id(const struct maps *maps, __u32 id);

/* Whether two programs in the kernel are the same: instructions, constants and maps. */
bool program_same(const struct maps *maps, int fd, int other_fd);

/* The kernel's id of a map, or 0. */
__u32 map_id_of(int fd);

/* Whether a program in the kernel uses these maps, in whatever version. */
bool program_uses(const struct maps *maps, int program_fd);

/* The same, or the maps that these took over from (maps_set.h). */
bool program_is_ours(const struct maps *maps, int program_fd);

/* The last warning of libbpf or libxdp, for errors; empty after maps_messages_clear(). */
const char *maps_message(void);
/* What the verifier said last of all when it refused a program since then; empty: nothing. */
const char *maps_verifier_message(void);
void maps_messages_clear(void);
void maps_messages_open(void); /* installs the print functions */
