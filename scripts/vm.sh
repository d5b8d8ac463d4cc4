#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a command under a stock Debian kernel: emulated by qemu without KVM, on a throw-away copy of this machine's own
# root. The root is shared read-only (9p) below an overlay in memory, so the command finds every file where it is here
# and can change none of them; only --out is shared for writing. Modules of the kernel load as they do anywhere.
#
# What it needs is fetched once from Debian and unpacked, not installed: qemu, busybox, kmod, the kernel. It is kept
# in ~/.cache/weir-vm (or $WEIR_VM_CACHE), some 600 MB for two kernels. See docs/kernels.md.
#
# The guest has two serial lines: the kernel's messages go to OUT/console.log, the command's output comes out here.
set -euo pipefail

cache=${WEIR_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir-vm}
tools=$cache/tools
tool_packages=(qemu-system-x86 busybox-static kmod)
# What a network test may load. Drivers of real hardware are left out.
module_folders=(net lib crypto arch fs drivers/virtio drivers/net drivers/block)
module_excluded=(drivers/net/ethernet drivers/net/wireless drivers/net/can drivers/net/usb drivers/net/wan drivers/net/phy)
boot_modules=(virtio_pci 9pnet_virtio 9p overlay)
no_boot=125

usage()
{
	cat <<-USAGE
	usage: vm.sh run [--kernel SERIES] [--out DIR] [--timeout SECONDS] [--memory MIB] COMMAND [ARGUMENT...]
	       vm.sh fetch [SERIES...]

	  --kernel SERIES    as 6.1 or 6.12: the newest that apt knows of it (6.1)
	  --out DIR          where console.log goes; /out, writable, for the command (a temporary directory)
	  --timeout SECONDS  for all of it (600)
	  --memory MIB       of the guest, its files included (3072)

	Ends with the command's exit status, with 124 when time is over, with $no_boot when the kernel does not come up.
	USAGE
}

die()
{
	echo "vm: $*" >&2
	exit "$no_boot"
}

# --- one-off set-up --------------------------------------------------------------------------------------------

apt()
{
	apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::archives="$cache/archives" "$@" >/dev/null
}

# Runs one of our kmod's programs: kmod_run depmod|modprobe ARGUMENT...
kmod_run()
{
	(
		exec -a "$1" "$tools/bin/kmod" "${@:2}"
	)
}

tools_fetch()
{
	[[ ! -e $tools.ready ]] || return 0
	local archive
	echo "vm: fetching ${tool_packages[*]}" >&2
	rm -rf "$tools" "$cache/archives"
	mkdir -p "$tools" "$cache/archives/partial"
	# Reinstalling brings also those that this machine has; nothing is installed.
	apt install --no-install-recommends --download-only --reinstall "${tool_packages[@]}" ||
		die "apt could not fetch ${tool_packages[*]}: try apt-get update"
	for archive in "$cache"/archives/*.deb; do
		dpkg-deb -x "$archive" "$tools"
	done
	rm -rf "$cache/archives"
	touch "$tools.ready"
}

# The name of the newest kernel package of a series, as linux-image-6.1.0-42-amd64; nothing when apt knows none.
kernel_package()
{
	local meta
	for meta in "linux-image-$1-amd64" linux-image-amd64; do
		apt-cache depends "$meta" 2>/dev/null | sed -n "s/^ *Depends: \(linux-image-$1[.+-].*\)/\1/p"
	done | head -n 1
}

# Writes the ELF image inside a bzImage, which boots without the emulator's unpacking it: kernel_unpack FROM TO
kernel_unpack()
{
	/usr/bin/python3 -I - "$1" "$2" <<-'PY' || cp "$1" "$2"
	import lzma, subprocess, sys
	image = open(sys.argv[1], "rb").read()
	# The boot header says where the compressed payload is (Documentation/arch/x86/boot.rst).
	setup_sectors = image[0x1f1] or 4
	offset = int.from_bytes(image[0x248:0x24c], "little") + (setup_sectors + 1) * 512
	length = int.from_bytes(image[0x24c:0x250], "little")
	payload = image[offset:offset + length - 4]  # its end is the unpacked size
	if payload[:6] == b"\xfd7zXZ\0":
	    kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
	elif payload[:4] == b"\x28\xb5\x2f\xfd":
	    kernel = subprocess.run(["zstd", "-dc"], input=payload, stdout=subprocess.PIPE, check=True).stdout
	else:
	    sys.exit("compressed in a way not known here")
	if kernel[:4] != b"\x7fELF":
	    sys.exit("not an ELF image")
	open(sys.argv[2], "wb").write(kernel)
	PY
}

# Fetches and unpacks a kernel into $cache/VERSION: vmlinux, lib/modules/VERSION. kernel_fetch PACKAGE
kernel_fetch()
{
	local package=$1 version=${1#linux-image-} folder members=(./boot 'vmlinuz*')
	local target=$cache/$version
	[[ ! -e $target/ready ]] || return 0
	echo "vm: fetching $package" >&2
	rm -rf "$target"
	mkdir -p "$target/package"
	(cd "$target/package" && apt download "$package") || die "apt could not fetch $package: try apt-get update"
	members=('./boot/vmlinuz-*' './lib/modules/*/modules.*')
	for folder in "${module_folders[@]}"; do
		members+=("./lib/modules/*/kernel/$folder/*")
	done
	dpkg-deb --fsys-tarfile "$target"/package/*.deb | tar -C "$target" -x --wildcards \
		"${module_excluded[@]/#/--exclude=*/kernel/}" "${members[@]}"
	rm -rf "$target/package"
	# What is compressed is unpacked: any modprobe can load it then.
	find "$target/lib/modules" -name '*.ko.xz' -exec xz -d {} +
	kmod_run depmod -b "$target" "$version"
	kernel_unpack "$target/boot/vmlinuz-$version" "$target/vmlinux"
	touch "$target/ready"
}

# --- the guest's first programs --------------------------------------------------------------------------------

# Runs from memory: mounts this machine's root below an overlay, and hands over to guest_start.
guest_init()
{
	cat <<-'INIT'
	#!/bin/busybox sh
	export PATH=/bin
	busybox mkdir -p /proc /sys /dev /host /memory /root
	busybox mount -t proc proc /proc
	busybox --install -s /bin
	mount -t devtmpfs dev /dev
	mount -t sysfs sys /sys
	fail() { echo "weir-vm: $1"; poweroff -f; }
	while read -r module; do
		insmod "/modules/$module" || fail "cannot load $module"
	done </modules/order
	options=trans=virtio,version=9p2000.L,msize=512000
	mount -t 9p -o $options,ro,cache=loose,noxattr root /host || mount -t 9p -o $options,ro,cache=loose root /host ||
		fail "cannot mount the root"
	mount -t tmpfs -o size=75% memory /memory
	mkdir /memory/upper /memory/work
	mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root || fail "cannot lay over"
	mkdir -p /root/out /root/proc /root/sys /root/dev
	mount -t 9p -o $options out /root/out || fail "cannot mount /out"
	for directory in proc sys dev; do
		mount --move /$directory /root/$directory
	done
	exec switch_root /root /bin/bash /out/.start
	INIT
}

# The second, on the overlay: what a booted system would have set up; then the command. guest_start VERSION COMMAND...
guest_start()
{
	local version=$1
	shift
	cat <<-START
	export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
	mkdir -p /lib/modules /run /tmp /dev/shm /dev/pts
	mount --bind $(printf %q "$cache/$version/lib/modules") /lib/modules
	mount -t tmpfs run /run
	mount -t tmpfs shm /dev/shm
	chmod 1777 /dev/shm
	mount -t devpts pts /dev/pts
	mount -t bpf bpf /sys/fs/bpf
	mount -t cgroup2 cgroup /sys/fs/cgroup
	mount -t tracefs tracing /sys/kernel/tracing
	ln -sf /proc/self/fd /dev/fd
	for program in modprobe lsmod insmod rmmod; do
		[[ -e /sbin/\$program ]] || ln -s $(printf %q "$tools/bin/kmod") /sbin/\$program
	done
	ip link set lo up
	hostname weir-vm
	cd $(printf %q "$PWD")
	export WEIR_VM=$(printf %q "$version")
	stty -F /dev/ttyS1 raw -echo
	setsid $(printf '%q ' "$@")</dev/null >/dev/ttyS1 2>&1
	echo \$? >/out/.status
	sync
	echo o >/proc/sysrq-trigger
	sleep 60
	START
}

# Makes the first stage's archive, unless it is there. initrd_make VERSION
initrd_make()
{
	local target=$cache/$1 initrd=$cache/$1/initrd work module file
	[[ ! -e $initrd || $initrd -ot ${BASH_SOURCE[0]} ]] || return 0
	work=$target/initrd.d
	rm -rf "$work"
	mkdir -p "$work/bin" "$work/modules"
	cp "$tools/bin/busybox" "$work/bin/"
	for module in "${boot_modules[@]}"; do
		kmod_run modprobe -d "$target" -S "$1" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while IFS= read -r file; do
		cp "$file" "$work/modules/"
		basename "$file" >>"$work/modules/order"
	done
	guest_init >"$work/init"
	chmod +x "$work/init"
	(cd "$work" && find . | "$tools/bin/busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$initrd.new"
	mv "$initrd.new" "$initrd"
	rm -rf "$work"
}

# Everything a kernel series needs; its version is in $version then. A fetched one serves where apt is out of reach.
prepare()
{
	local series=$1 package
	[[ $EUID -eq 0 ]] || die "must be root"
	[[ $(uname -m) == x86_64 ]] || die "x86_64 only"
	mkdir -p "$cache"
	exec {lock}>"$cache/lock"
	flock "$lock"
	package=$(kernel_package "$series")
	if [[ -z $package ]]; then
		package=$(find "$cache" -mindepth 2 -maxdepth 2 -path "*/${series}[.+-]*/ready" -printf 'linux-image-%P\n' |
			sort -V | tail -n 1)
		package=${package%/ready}
	fi
	[[ -n $package ]] || die "apt knows no kernel $series: try apt-get update"
	tools_fetch
	kernel_fetch "$package"
	version=${package#linux-image-}
	initrd_make "$version"
	flock -u "$lock"
}

# --- run -------------------------------------------------------------------------------------------------------

emulator=
run_end()
{
	local code=$?
	trap - EXIT
	[[ -z $emulator ]] || kill "$emulator" 2>/dev/null || true
	[[ -z $out_temporary ]] || rm -rf "$out_temporary"
	exit "$code"
}

emulate()
{
	local share=security_model=none
	exec env LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu:$tools/lib/x86_64-linux-gnu" \
		timeout --foreground -k 5 "$timeout" nice "$tools/usr/bin/qemu-system-x86_64" \
		-L "$tools/usr/share/qemu" -L "$tools/usr/share/seabios" \
		-accel tcg,thread=multi -cpu max -smp 2 -m "$memory" -nodefaults -display none -no-reboot \
		-kernel "$cache/$version/vmlinux" -initrd "$cache/$version/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr" \
		-serial "file:$out/console.log" -serial stdio \
		-virtfs "local,path=/,mount_tag=root,readonly=on,multidevs=remap,$share" \
		-virtfs "local,path=$out,mount_tag=out,$share"
}

run()
{
	local status=0
	mkdir -p "$out"
	out=$(realpath "$out")
	rm -f "$out/.status"
	guest_start "$version" "$@" >"$out/.start"
	emulate </dev/null &
	emulator=$!
	wait "$emulator" || status=$?
	emulator=
	if [[ -s $out/.status ]]; then
		exit "$(<"$out/.status")"
	elif ((status == 124 || status == 137)); then
		echo "vm: not done within $timeout s" >&2
		exit 124
	fi
	echo "vm: the guest ended without an exit status (qemu: $status); the end of its console:" >&2
	tail -n 30 "$out/console.log" >&2 || true
	exit "$no_boot"
}

main()
{
	local verb=${1:-help} series=6.1
	shift || true
	timeout=600 memory=3072 out='' out_temporary=''
	case $verb in
	fetch)
		for series in "${@:-6.1}"; do
			prepare "$series"
			echo "$version"
		done
		;;
	run)
		while [[ ${1:-} == --* ]]; do
			(($# >= 2)) || die "$1 needs a value"
			case $1 in
			--kernel) series=$2 ;;
			--out) out=$2 ;;
			--timeout) timeout=$2 ;;
			--memory) memory=$2 ;;
			*) die "unknown option $1" ;;
			esac
			shift 2
		done
		(($#)) || die "run what?"
		prepare "$series"
		trap run_end EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		if [[ -z $out ]]; then
			out_temporary=$(mktemp -d)
			out=$out_temporary
		fi
		run "$@"
		;;
	help | -h | --help) usage ;;
	*)
		usage >&2
		exit 2
		;;
	esac
}

main "$@"
