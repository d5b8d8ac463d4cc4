// SPDX-License-Identifier: GPL-2.0-only
/* Checks of the host itself: configuration file, kernel, bpffs, processors, and the hardware of interfaces.
 */
#include "lbctl/doctor/doctor.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STATE_DIRECTORY "/var/lib/weir"
#define STATE_MIN_BYTES (64ull << 20)

static void check_configuration(struct doctor *doctor)
{
	struct lb_error error = {};
	struct stat st;

	if (lb_config_load(doctor->config_file, &doctor->config, &error) < 0) {
		doctor_found(doctor, "lbd keeps what ran before, or does not start at all",
			     "correct the file, then: lbctl validate FILE", "%s%s%s", error.text,
			     error.path[0] ? " at " : "", error.path);
		return;
	}
	if (stat(doctor->config_file, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
		doctor_found(doctor,
			     "it holds hash_seed, a secret: who knows it can aim flows at one slot of every "
			     "balancer",
			     "chmod o= /etc/weir/weir.json", "everybody may read %s", doctor->config_file);
}

static void check_kernel(struct doctor *doctor)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return;
	if (major < 6 || (major == 6 && minor < 1))
		doctor_found(doctor, "the packet path needs Linux 6.1 or newer", "install a newer kernel",
			     "this kernel is %s", name.release);
}

static void check_jit(struct doctor *doctor)
{
	char text[16];

	if (doctor_read(doctor, text, sizeof(text), "/proc/sys/net/core/bpf_jit_enable") &&
	    strcmp(text, "0") == 0)
		doctor_found(doctor, "programs are interpreted: a packet costs some ten times as much",
			     "sysctl -w net.core.bpf_jit_enable=1", "the kernel's BPF compiler is off");
}

static void check_bpffs(struct doctor *doctor)
{
	struct statfs fs;
	char path[256];

	snprintf(path, sizeof(path), "%s/sys/fs/bpf", doctor->root);
	if (statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return;
	doctor_found(doctor,
		     "maps and links are pinned there; where lbd mounts it inside its unit, they go when the "
		     "unit stops",
		     "mount -t bpf bpf /sys/fs/bpf", "no bpf file system is mounted at /sys/fs/bpf");
}

static void check_state(struct doctor *doctor)
{
	unsigned long long bytes;
	struct statvfs fs;

	if (statvfs(STATE_DIRECTORY, &fs) < 0)
		return;
	bytes = (unsigned long long)fs.f_bavail * fs.f_frsize;
	if (bytes < STATE_MIN_BYTES || (fs.f_files && !fs.f_favail))
		doctor_found(doctor,
			     "a change is written down before it is made: where that fails it is refused",
			     "make room on the file system of " STATE_DIRECTORY,
			     "%llu MiB and %llu files are left for " STATE_DIRECTORY, bytes >> 20,
			     (unsigned long long)fs.f_favail);
}

static void check_installations(struct doctor *doctor)
{
	if (access("/usr/sbin/lbd", X_OK) == 0 && access("/usr/local/sbin/lbd", X_OK) == 0)
		doctor_found(doctor,
			     "shells and systemd prefer /usr/local: an upgrade of the package would restart "
			     "the other one",
			     "make uninstall, in the tree that /usr/local was installed from",
			     "lbd is installed twice, in /usr/sbin and in /usr/local/sbin");
}

/* The packet path reads the clock where a flow is observed or an answer is rationed. */
static void check_clocks(struct doctor *doctor)
{
	static const char *const slow[] = { "acpi_pm", "hpet", "jiffies", "pit", "refined-jiffies" };
	char source[32] = "", answer[16];
	struct timex timex = { 0 };
	bool known = !doctor->root[0], good;

	doctor_read(doctor, source, sizeof(source),
		    "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
		if (strcmp(source, slow[i]) == 0)
			doctor_found(doctor,
				     "to read it takes a microsecond, to balance a packet a tenth of that",
				     "look in dmesg for why tsc is not trusted; clocksource=tsc tsc=reliable",
				     "the kernel's clock is %s", source);
	good = known && adjtimex(&timex) != TIME_ERROR;
	if (doctor_read(doctor, answer, sizeof(answer), "/adjtimex")) { /* recorded */
		known = true;
		good = atoi(answer) != TIME_ERROR;
	}
	if (known && !good)
		doctor_found(
			doctor,
			"events of several balancers cannot be put in order, and checks over TLS may refuse "
			"certificates",
			"timedatectl set-ntp true", "the time of this host is not synchronised");
}

static void check_governor(struct doctor *doctor)
{
	char governor[32] = "", driver[32] = "";

	if (!doctor_read(doctor, governor, sizeof(governor),
			 "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") ||
	    strcmp(governor, "powersave") != 0)
		return;
	doctor_read(doctor, driver, sizeof(driver), "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
	/* Those choose the frequency themselves, also under that name. */
	if (strcmp(driver, "intel_pstate") == 0 || strcmp(driver, "amd-pstate-epp") == 0)
		return;
	doctor_found(doctor, "processors stay at their lowest frequency: bursts are lost at the NIC",
		     "cpupower frequency-set -g performance", "the frequency governor is powersave (%s)",
		     driver);
}

/* --- hardware of an interface ----------------------------------------------------------------------------
 */

static unsigned int processors(const struct doctor *doctor)
{
	char text[64];
	unsigned int first, last;

	if (!doctor_read(doctor, text, sizeof(text), "/sys/devices/system/cpu/online"))
		return 1;
	return sscanf(text, "%u-%u", &first, &last) == 2 && last >= first ? last - first + 1 : 1;
}

static bool is_hardware(const struct doctor *doctor, const char *interface)
{
	char text[16];

	return doctor_read(doctor, text, sizeof(text), "/sys/class/net/%s/device/vendor", interface);
}

static void check_queues(struct doctor *doctor)
{
	unsigned int cpus = processors(doctor);

	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		size_t queues = doctor_list(doctor, "rx-", NULL, NULL, "/sys/class/net/%s/queues", name);

		if (is_hardware(doctor, name) && queues && queues < cpus && queues < 16)
			doctor_found(doctor, "only so many cores take packets; the others are idle",
				     "ethtool -L DEV combined N", "%s has %zu receive queues for %u cores",
				     name, queues, cpus);
	}
}

struct interrupts {
	struct doctor *doctor;
	size_t n;
	char first[64]; /* cores of the first one */
	bool spread;    /* not all have the same */
	int node;       /* of the cores; -1: not known */
};

static void visit_interrupt(void *context, const char *name)
{
	struct interrupts *interrupts = context;
	char cores[64];

	if (!doctor_read(interrupts->doctor, cores, sizeof(cores), "/proc/irq/%s/effective_affinity_list",
			 name))
		return;
	if (interrupts->n++ == 0)
		snprintf(interrupts->first, sizeof(interrupts->first), "%s", cores);
	else
		interrupts->spread |= strcmp(cores, interrupts->first) != 0;
}

static void check_interrupts(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct interrupts interrupts = { .doctor = doctor };

		doctor_list(doctor, "", visit_interrupt, &interrupts, "/sys/class/net/%s/device/msi_irqs",
			    name);
		if (interrupts.n > 1 && !interrupts.spread && processors(doctor) > 1)
			doctor_found(doctor, "one core takes every packet, and drops what it cannot take",
				     "systemctl start irqbalance, or write to /proc/irq/N/smp_affinity_list",
				     "all %zu interrupts of %s go to core %s", interrupts.n, name,
				     interrupts.first);
	}
}

/* Whether a list like "0-3,8" has a number. */
static bool list_has(const char *list, long number)
{
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;

		if (end == list)
			return false;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (number >= first && number <= last)
			return true;
		list = *end == ',' ? end + 1 : end;
	}
	return false;
}

static void check_numa(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct interrupts interrupts = { .doctor = doctor };
		char node[16], cores[128];

		if (!doctor_read(doctor, node, sizeof(node), "/sys/class/net/%s/device/numa_node", name) ||
		    atoi(node) < 0 ||
		    !doctor_read(doctor, cores, sizeof(cores), "/sys/devices/system/node/node%d/cpulist",
				 atoi(node)))
			continue;
		doctor_list(doctor, "", visit_interrupt, &interrupts, "/sys/class/net/%s/device/msi_irqs",
			    name);
		if (interrupts.n && !list_has(cores, atol(interrupts.first)))
			doctor_found(
				doctor, "each packet crosses to the other memory: some 100 ns more",
				"let the NIC's interrupts go to cores of its own node (smp_affinity_list)",
				"%s is at memory node %d (cores %s), its interrupts go to core %s", name,
				atoi(node), cores, interrupts.first);
	}
}

const struct check doctor_host_checks[] = {
	{ "configuration", "the file that lbd reads", check_configuration, false, false },
	{ "kernel", "version", check_kernel, false, false },
	{ "jit", "net.core.bpf_jit_enable", check_jit, false, false },
	{ "bpffs", "/sys/fs/bpf", check_bpffs, false, false },
	{ "state", "room for the state directory", check_state, false, false },
	{ "installations", "lbd in two places", check_installations, false, false },
	{ "clocks", "source, and whether they are synchronised", check_clocks, false, false },
	{ "governor", "frequency of the cores", check_governor, false, false },
	{ "queues", "receive queues against cores", check_queues, true, false },
	{ "interrupts", "cores that the NIC's interrupts go to", check_interrupts, true, false },
	{ "numa", "memory node of the NIC", check_numa, true, false },
	{ NULL, NULL, NULL, false, false },
};
