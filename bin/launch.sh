# What the launchers share: sets `root` and `python`, and sees to it that .venv is made from the lock file.
# Sourced by a POSIX shell with `self` set to the launcher's own path; no process but sha256sum is started when all is well.

root=$(CDPATH='' cd -- "${self%/*}/.." && pwd -P) || exit 1
python=$root/.venv/bin/python

# The first Python on PATH that is new enough.
find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "${self##*/}: cannot start: there is no Python 3.11 or newer on PATH; install one, then run this again" >&2
    return 1
}

# Whether .venv was made, to its end, from this lock file ($1) and for this place. `stamp.$2` is its last file.
is_made() {
    [ -x "$python" ] && [ -r "$root/.venv/stamp.$2" ] || return 1
    { read -r made_from && read -r made_for; } <"$root/.venv/stamp.$2" || return 1
    now=$(sha256sum <"$root/$1" 2>/dev/null) || return 1
    [ "$made_from" = "${now%% *}" ] && [ "$made_for" = "$root" ]
}

prepare() {
    is_made "$1" "$2" && return
    found=$(find_python) || exit 1
    "$found" -I "$root/bin/prepare.py" "$1" "$2" "${self##*/}" || exit 1
}
