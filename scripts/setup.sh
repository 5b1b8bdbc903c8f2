# Sourced by scripts/demo and scripts/test in the project's root: installs what is missing, and only that.
# May be interrupted anywhere and started again: what was half done is told by a marker and done anew.
# shellcheck shell=bash

readonly PYTHON=.venv/bin/python
readonly CLIENT=tests/browser/npm
readonly BROWSER=tests/browser/program
readonly WEIGHTS=.venv/share/callboard/moonshine-base-en-1/manifest.json
readonly HALF_DONE=.venv/.callboard-half-done # as long as somebody builds the environment

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# set_up PURPOSE: run, dev (what the tests need too) or referees (the vendors' own clients too). Those that start
# together take turns.
set_up() {
    local purpose=$1
    _is_set_up "$purpose" && return 0
    trap _interrupted INT TERM
    [[ -w . ]] || fail "Nothing can be written to $PWD (read-only, or another user's): clone into a folder of your own."
    exec 9<.
    flock --nonblock 9 || { say "Another set-up is at work in this folder; waiting for it." && flock 9; }
    _is_set_up "$purpose" || _install_all "$purpose"
    exec 9<&-
    trap - INT TERM
}

_interrupted() {
    [[ -z $TICKER ]] || kill "$TICKER" 2>/dev/null || true
    say $'\nInterrupted. Started again, it goes on.'
    exit 130
}

_is_set_up() {
    _has_environment "$1" && _has_weights || return 1
    [[ $1 != dev ]] || { _has_client && _has_browser && [[ -z $(_missing dev) ]]; }
}

_install_all() {
    _install_packages "$1"
    _has_environment "$1" || _build_environment "$1"
    _has_weights || _prepare_weights
    [[ $1 == dev ]] || return 0
    _has_client || _install_client
    _has_browser || _install_browser
}

# --- steps -----------------------------------------------------------------------------------------------------------

SYSTEM=/etc/os-release
TICKER=""
CAUSE=""

# run_step LABEL COMMAND...: runs quietly, counts the seconds on a terminal; of a failure it says the cause in one line
# where it knows it, else shows the last lines.
run_step() {
    local label=$1 log status=0 began=$SECONDS
    shift
    log=$(mktemp --tmpdir callboard-setup.XXXXXX) || fail "No temporary file can be made in ${TMPDIR:-/tmp}: is the disk full?"
    if [[ -t 2 ]]; then
        _count_seconds "$label" "$$" &
        TICKER=$!
    else
        say "$label ..."
    fi
    ("$@") >"$log" 2>&1 || status=$?
    if [[ -n $TICKER ]]; then
        kill "$TICKER" 2>/dev/null || true
        wait "$TICKER" 2>/dev/null || true
        TICKER=""
        printf '\r\033[K%s: %d s\n' "$label" $((SECONDS - began)) >&2
    fi
    if ((status == 0)); then
        rm -f "$log"
    elif CAUSE=$(_cause "$log"); then
        say "$label failed. $CAUSE (All that was said is in $log.)"
    else
        tail -n 30 "$log" >&2
        say "$label failed with exit code $status; the command was: $*"
    fi
    return "$status"
}

_count_seconds() {
    local seconds=0
    while kill -0 "$2" 2>/dev/null; do
        printf '\r%s ... %d s ' "$1" "$seconds" >&2
        sleep 1
        seconds=$((seconds + 1))
    done
}

readonly NO_NETWORK="There is no way to the package index: is this machine connected? Behind a proxy set HTTPS_PROXY."

# What pip, npm and apt say of a cause -> what it is. The first that fits counts.
readonly CAUSES=(
    'No space left on device|ENOSPC|not have enough free space|Disk quota exceeded'
    "The disk is full."
    'Read-only file system|EROFS'
    "The disk is read-only."
    'dpkg was interrupted'
    "An earlier installation was interrupted: run 'dpkg --configure -a'."
    'Could not get lock|Unable to lock'
    "Another apt is at work: wait until it has ended."
    'DO NOT MATCH THE HASHES|EINTEGRITY'
    "A package is not the one that the lock file names: do not install it before you know why."
    'CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|certificate verify failed'
    "The package index shows a certificate that this machine does not trust (PIP_CERT, NODE_EXTRA_CA_CERTS)."
    'name resolution|Name or service not known|Temporary failure resolving|Could not resolve|[Nn]etwork is unreachable|Failed to establish a new connection|NewConnectionError|ConnectTimeout|Read timed out|Connection (refused|timed out|reset)|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|Cannot connect to proxy|ProxyError'
    "$NO_NETWORK"
    "command '.*(gcc|cc|c\+\+)' failed|No CMAKE_C(XX)?_COMPILER|Python\.h: No such file|unable to execute '.*(gcc|cc)'"
    "A package has to be compiled for this Python: apt-get install build-essential python3-dev."
    'Unable to locate package|has no installation candidate'
    "The system's package lists do not offer it: is a Debian or Ubuntu archive configured in /etc/apt?"
    'Permission denied|EACCES'
    "Something there may not be written: another user's files in this folder?"
)

_cause() {
    local number
    printf ' ' 2>/dev/null >>"$1" || { printf 'The disk of %s is full.' "${TMPDIR:-/tmp}" && return; }
    for ((number = 0; number < ${#CAUSES[@]}; number += 2)); do
        if grep -qE "${CAUSES[number]}" "$1"; then
            printf '%s' "${CAUSES[number + 1]}"
            return 0
        fi
    done
    return 1
}

# --- the system's packages -------------------------------------------------------------------------------------------

# _missing PURPOSE: Debian's names of what is not there; the tests start their servers themselves, on free ports.
_missing() {
    local python
    if ! _has_environment run; then
        if python=$(_find_python); then
            "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "${python##*/}-venv"
        else
            echo python3 python3-venv
        fi
    fi
    [[ $1 == dev ]] || return 0
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || echo postgresql
    command -v redis-server >/dev/null || echo redis-server
    command -v git >/dev/null || echo git # lists the files that the house's rules are for
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    _has_browser || ! _packages_a_browser || echo chromium
}

_has_browser() {
    local name
    for name in chromium google-chrome "$BROWSER/chromium"; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

# Ubuntu's package of Chromium is an empty one that asks for a snap, which sees no temporary folder of ours.
_packages_a_browser() {
    ! grep -qs '^ID=ubuntu' "$SYSTEM"
}

_find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

_install_packages() {
    local missing
    read -r -a missing <<<"$(_missing "$1" | tr '\n' ' ')"
    ((${#missing[@]} == 0)) && return 0
    if command -v apt-get >/dev/null && _is_root; then
        run_step "Installing ${missing[*]}" _apt_install "${missing[@]}" || exit 1
        [[ -z $(_missing "$1") ]] || fail "Still missing: $(_missing "$1" | tr '\n' ' ')(Python: 3.11 or newer)."
    elif command -v apt-get >/dev/null; then
        fail "First run: sudo apt-get install --no-install-recommends ${missing[*]}"
    else
        fail "First install, by the names that they have on this system: ${missing[*]} (Python: 3.11 or newer)."
    fi
}

_is_root() {
    ((EUID == 0))
}

_apt_install() {
    # Run level 1: what is installed here is not started as a service.
    local quiet=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1)
    "${quiet[@]}" dpkg --configure -a # of an installation that was interrupted; else nothing
    apt-get update -q || true         # one archive of many may be away
    "${quiet[@]}" apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# --- the virtual environment -----------------------------------------------------------------------------------------

# What an environment was made of. A folder that was moved, another Python, a new lock file: it is not the same.
_fingerprint() {
    printf '%s ' "$(pwd -P)"
    "$PYTHON" -I -c 'import platform; print(platform.python_version(), platform.machine(), end=" ")' 2>/dev/null || true
    cat setup.cfg pyproject.toml "requirements/$1.txt" requirements/embedding.txt | sha256sum
}

_has_environment() {
    [[ ! -e $HALF_DONE ]] || return 1
    local purpose
    for purpose in "$1" dev referees; do # what holds the tests' packages holds those of a run
        [[ -r .venv/.callboard-$purpose && $(<".venv/.callboard-$purpose") == "$(_fingerprint "$purpose")" ]] && return 0
        [[ $1 != referees ]] || return 1
    done
    return 1
}

_build_environment() {
    local what="Callboard"
    [[ $1 == run ]] || what+=" and its test tools"
    [[ $1 != referees ]] || what+=", and the vendors' clients"
    _is_whole || run_step "Making a virtual environment in .venv" _make_venv "$(_find_python)" || exit 1
    touch "$HALF_DONE" || fail "Nothing can be written to $PWD/.venv: is the disk full, or is it another user's?"
    if run_step "Installing $what into .venv" _install_python_packages "$1"; then
        _fingerprint "$1" >".venv/.callboard-$1"
        rm -f "$HALF_DONE"
        return
    fi
    [[ $CAUSE != "$NO_NETWORK" ]] || rm -f "$HALF_DONE" # nothing was touched yet
    exit 1
}

# Whole, of a Python that is still there and new enough, and in the folder that it was made for.
_is_whole() {
    [[ ! -e $HALF_DONE ]] && grep -qF "$(pwd -P)/.venv" .venv/bin/activate 2>/dev/null &&
        "$PYTHON" -I -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

_make_venv() {
    rm -rf .venv && mkdir .venv && touch "$HALF_DONE" && "$1" -I -m venv .venv && "$PYTHON" -I -m pip --version &&
        rm -f "$HALF_DONE"
}

_install_python_packages() {
    local pip=(env PIP_USER=0 "$PYTHON" -I -m pip --disable-pip-version-check --no-input)
    "${pip[@]}" install --quiet --require-hashes -r "requirements/$1.txt" || return
    "${pip[@]}" install --quiet --require-hashes --no-deps -r requirements/embedding.txt || return
    if [[ $1 == referees ]]; then
        "${pip[@]}" install --quiet --require-hashes --no-deps -r requirements/model.txt || return
    fi
    "${pip[@]}" install --quiet --no-deps --no-build-isolation -e .
}

# --- the recognizer's weights ----------------------------------------------------------------------------------------

# Elsewhere there is no such package, and pocketsphinx hears.
_has_weights() {
    [[ -e $WEIGHTS || $MACHTYPE != x86_64-*linux* ]]
}

# Not a cause to stop: it hears without them, if slowly, and the next start tries again.
_prepare_weights() {
    "$PYTHON" -m actors.engines.weights || say "The recognizer uses its weights as they are shipped, which takes more time."
}

# --- for the tests of the page: the published RTVI client, and a browser -----------------------------------------------

_has_client() {
    [[ $(cat "$CLIENT/node_modules/.callboard" 2>/dev/null) == "$(sha256sum "$CLIENT/package-lock.json")" ]]
}

_install_client() {
    run_step "Installing the published RTVI client" npm ci --prefix "$CLIENT" --no-audit --no-fund || exit 1
    sha256sum "$CLIENT/package-lock.json" >"$CLIENT/node_modules/.callboard"
}

_install_browser() {
    [[ $(uname -m) == x86_64 ]] || fail "The tests of the page need a browser: install Google Chrome or Chromium (no snap)."
    run_step "Installing a browser for the tests of the page" _unpack_browser || exit 1
}

_unpack_browser() {
    npm ci --prefix "$BROWSER" --no-audit --no-fund --ignore-scripts && (cd "$BROWSER" && node unpack.cjs)
}
