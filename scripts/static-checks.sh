#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What can be said of the source without running it, as TAP: format, cppcheck, shellcheck, warnings of clang beside
# those of the build's gcc, includes in a circle, licence lines, and no file too long to read. Looks at tracked files; where there is no
# git, at all of them.

# shellcheck disable=SC2317 # the checks are called by try
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

max_lines=600
# Longer files, and why they may be.
declare -A long_files=(
	[tests/lbctl/test_lbctl.py]="one table of tests, each a few lines"
)

n=0
failed=0

# result NAME STATUS OUTPUT
result()
{
	n=$((n + 1))
	if (($2 == 0)); then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		echo "# ${3//$'\n'/$'\n'# }"
	fi
}

# try NAME COMMAND...
try()
{
	local name=$1 output status
	shift
	output=$("$@" 2>&1)
	status=$?
	result "$name" "$status" "$(head -n 60 <<<"$output")"
}

# need NAME TOOL PACKAGE: whether the tool is there; a missing one is a failure.
need()
{
	type "$2" >/dev/null 2>&1 && return
	result "$1" 1 "$2 is not there: apt install $3"
	return 1
}

# Files that match the patterns and exist.
files()
{
	local file
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -- "$@"
	else
		find . -path ./build -prune -o -type f -print | sed 's|^\./||' | while IFS= read -r file; do
			for pattern in "$@"; do
				# shellcheck disable=SC2053 # a pattern it is
				[[ $file == $pattern ]] && echo "$file"
			done
		done
	fi | while IFS= read -r file; do
		[[ -f $file ]] && echo "$file"
	done
}

shell_files()
{
	files '*.sh' 'scripts/*' '.ci/*' 'configs/*' | sort -u | while IFS= read -r file; do
		head -n 1 "$file" | grep -qE '^(#!.*\<(ba)?sh$|# shellcheck shell=)' && echo "$file"
	done
}

check_long()
{
	local file lines status=0
	while IFS= read -r file; do
		lines=$(wc -l <"$file")
		if ((lines > max_lines)) && [[ -z ${long_files[$file]:-} ]]; then
			echo "$file has $lines lines; $max_lines is what we read in one go"
			status=1
		fi
	done < <(files '*.c' '*.h' '*.sh' '*.py' '*.mk' Makefile)
	return "$status"
}

check_licence()
{
	local file status=0
	while IFS= read -r file; do
		if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: '; then
			echo "$file has no SPDX-License-Identifier in its first three lines"
			status=1
		fi
	done < <(files '*.c' '*.h' '*.sh' '*.py' '*.mk' Makefile '.ci/*')
	return "$status"
}

# What is switched off gcc knows better: it does not look into macros of system headers.
check_clang()
{
	local flags
	read -r -a flags < <(make -s --no-print-directory print-cflags)
	user_files | xargs -r -P "$(nproc)" -n 8 "$clang" "${flags[@]}" -Itests/host -Itests/bench \
		-Wno-sign-compare -Wno-format-zero-length -fsyntax-only
}

# What the host's compiler is for; the kernel side has its own in the Makefile.
user_files()
{
	files '*.c' | grep -vE '\.bpf\.c$|^tests/host/host\.c$'
}

# It does not know what frees a variable at the end of its scope, nor which functions never return: ASan watches
# leaks, gcc and clang the rest of what is suppressed here.
check_cppcheck()
{
	local rule suppressed=()
	for rule in missingIncludeSystem unmatchedSuppression normalCheckLevelMaxBranches internalAstError memleak \
		resourceLeak nullPointerRedundantCheck nullPointerArithmeticRedundantCheck; do
		suppressed+=("--suppress=$rule")
	done
	user_files | grep -v '^tests/' | xargs -r cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		-j "$(nproc)" --enable=warning,performance,portability "${suppressed[@]}" -D_GNU_SOURCE -D__x86_64__ \
		--include=tests/check/cppcheck_macros.h -Iinclude -Iuser -Iuser/lib
}

clang=$(type -P clang clang-19 clang-16 clang-14 | head -n 1)

if need "C is formatted" clang-format-14 clang-format-14; then
	mapfile -t sources < <(files '*.c' '*.h')
	try "C is formatted (make format)" clang-format-14 --dry-run -Werror --ferror-limit=1 "${sources[@]}"
fi
if need "shellcheck has nothing to say" shellcheck shellcheck; then
	mapfile -t sources < <(shell_files)
	try "shellcheck has nothing to say" shellcheck -x "${sources[@]}"
fi
if need "cppcheck has nothing to say" cppcheck cppcheck; then
	try "cppcheck has nothing to say" check_cppcheck
fi
if need "clang warns of nothing" "${clang:-clang}" clang; then
	try "clang warns of nothing" check_clang
fi
try "no units include each other in a circle" scripts/include-cycles.sh
try "no file is longer than $max_lines lines" check_long
try "every file has a licence line" check_licence

echo "1..$n"
exit $((failed > 0))
