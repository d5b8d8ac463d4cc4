#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs fuzzers, each for its share of the time: run.sh SECONDS FUZZER... New inputs go to build/fuzz/found-NAME, one
# that ends the program to build/fuzz/crash-*. Exit status 1 if there was one.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
seconds=$1
shift
status=0
for fuzzer in "$@"; do
	name=${fuzzer##*/fuzz_}
	found=build/fuzz/found-$name
	mkdir -p "$found"
	dictionary=()
	[[ ! -e tests/fuzz/$name.dict ]] || dictionary=(-dict="tests/fuzz/$name.dict")
	echo "fuzz: $name for $((seconds / $#)) s"
	if ! "$fuzzer" -max_total_time=$((seconds / $#)) -timeout=10 -max_len=4096 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/crash-$name-" "${dictionary[@]}" "$found" "tests/fuzz/corpus/$name" \
		>"build/fuzz/$name.log" 2>&1; then
		status=1
		grep -vE '^#[0-9]+' "build/fuzz/$name.log" | tail -n 60
	fi
	grep -E '^stat::(number_of_executed_units|average_exec|new_units)|DONE' "build/fuzz/$name.log" | sed "s/^/fuzz: $name: /"
done
exit $status
