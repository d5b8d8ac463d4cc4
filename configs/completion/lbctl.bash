# SPDX-License-Identifier: GPL-2.0-only
# Completion of lbctl for bash: source it, or install it as /usr/share/bash-completion/completions/lbctl.
# lbctl itself knows what may come next (its hidden verb __complete); names come from the running agent.

_lbctl()
{
	local line=${COMP_LINE:0:COMP_POINT} words candidate
	read -ra words <<<"$line"
	# A blank at the end starts a new, empty word.
	[[ $line == *[[:space:]] ]] && words+=("")
	COMPREPLY=()
	while IFS= read -r candidate; do
		if [[ $candidate == :file ]]; then
			compopt -o filenames 2>/dev/null
			local last=${words[-1]}
			mapfile -t COMPREPLY < <(compgen -f -- "${last#--*=}")
			return 0
		fi
		COMPREPLY+=("$candidate")
	done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
	return 0
}

complete -F _lbctl lbctl
