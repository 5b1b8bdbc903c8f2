# Sourced by scripts/demo and scripts/test in the project's root: installs what is missing, and only that.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# run_step LABEL COMMAND...: runs quietly, counts the seconds on a terminal, shows the output only of a failure.
run_step() {
    local label=$1 log ticker="" status=0 began=$SECONDS
    shift
    log=$(mktemp)
    if [[ -t 2 ]]; then
        _count_seconds "$label" "$$" &
        ticker=$!
    else
        say "$label ..."
    fi
    "$@" >"$log" 2>&1 || status=$?
    if [[ -n $ticker ]]; then
        kill "$ticker" 2>/dev/null || true
        wait "$ticker" 2>/dev/null || true
        printf '\r\033[K%s: %d s\n' "$label" $((SECONDS - began)) >&2
    fi
    if ((status != 0)); then
        tail -n 30 "$log" >&2
        say "$label: failed with exit code $status; the command was: $*"
    fi
    rm -f "$log"
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

# --- the virtual environment ---------------------------------------------------------------------------------------

# ensure_venv [dev]: .venv with the package; with `dev`, what the tests need too.
ensure_venv() {
    local extra=${1:-} wanted stamp
    wanted=$(sha256sum setup.cfg)
    stamp=.venv/.callboard-${extra:-run}
    # What holds the tests' packages holds those of a run.
    if [[ $(cat "$stamp" .venv/.callboard-dev 2>/dev/null) == *"$wanted"* && -x .venv/bin/python ]]; then
        return 0
    fi
    [[ -x .venv/bin/pip ]] || _make_venv
    run_step "Installing Callboard${extra:+ and its test tools} into .venv" \
        .venv/bin/pip install --quiet --disable-pip-version-check -e ".${extra:+[$extra]}"
    printf '%s\n' "$wanted" >"$stamp"
}

_make_venv() {
    local python
    python=$(_find_python) || fail "Callboard needs Python 3.11 or newer: apt-get install python3 python3-venv"
    run_step "Making a virtual environment in .venv" _venv "$python" && return 0
    ((EUID == 0)) && command -v apt-get >/dev/null || fail "No virtual environment: apt-get install python3-venv"
    _apt_install python3-venv
    run_step "Making a virtual environment in .venv" _venv "$python"
}

_venv() {
    "$1" -m venv --clear .venv && .venv/bin/python -m pip --version
}

_find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# --- servers for the tests -----------------------------------------------------------------------------------------

# ensure_servers: the programs of PostgreSQL and Redis; the tests start their own, on free ports, in a temporary folder.
ensure_servers() {
    local missing=()
    _has_postgres || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    ((${#missing[@]} == 0)) && return 0
    ((EUID == 0)) && command -v apt-get >/dev/null ||
        fail "The tests need servers that are not installed. Run: sudo apt-get install ${missing[*]}"
    _apt_install "${missing[@]}"
}

_has_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

# ensure_browser: Chromium for the tests of the page, and the published RTVI client for Node.js.
ensure_browser() {
    local client=tests/browser/npm missing=()
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
        missing+=(chromium)
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    if ((${#missing[@]} > 0)); then
        ((EUID == 0)) && command -v apt-get >/dev/null ||
            fail "The tests need a browser and Node.js. Run: sudo apt-get install ${missing[*]}"
        _apt_install "${missing[@]}"
    fi
    [[ $client/node_modules/.package-lock.json -nt $client/package-lock.json ]] && return 0
    run_step "Installing the published RTVI client" npm ci --prefix "$client" --no-audit --no-fund
}

_apt_updated=""

_apt_install() {
    [[ -n $_apt_updated ]] || run_step "Updating the list of packages" apt-get update -q
    _apt_updated=yes
    # Run level 1: what is installed here is not started as a service.
    run_step "Installing $*" \
        env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "$@"
}
