#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# include-cycles.sh [DIR]: fails, naming the units, where units of the C source in DIR (this repository by default)
# include each other in a circle. A unit is x.c with x.h: a circle of headers shows, and so does one where x.c needs
# y.h while y.c needs x.h, which no compiler complains of. Parts of one thing (x and x_part) may need each other.
set -u
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" || exit 2

# Includes are written from user/, user/lib/ and include/, and units are named like them.
pairs=$(grep -r --include='*.[ch]' '^#include "' user include | sed -E '
	s|^(user/lib\|user\|include)/||
	s|^([^:]*):#include "([^"]*)".*|\1 \2|
	s|\.[ch]( \|$)|\1|g' | awk 'index($1 "_", $2 "_") != 1 && index($2 "_", $1 "_") != 1')
[[ $pairs ]] || {
	echo "there is no C source with includes in $PWD"
	exit 2
}
circles=$(tsort <<<"$pairs" 2>&1 >/dev/null) || {
	echo "${circles//tsort: /}"
	exit 1
}
