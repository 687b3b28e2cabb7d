# shellcheck shell=bash
# Sourced by scripts/check: what the machine has to have. As root on Debian what is missing is installed,
# elsewhere it is named, with the command that brings it, and the check fails.

# Newest first; Debian keeps the server's programs out of PATH.
postgres_bin() {
    local folder
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(pg_config --bindir 2>/dev/null)"; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
            printf '%s\n' "$folder"
            return
        fi
    done
    return 1
}

has_venv() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_node() { node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; }
has_postgres() { postgres_bin >/dev/null; }
has() { command -v "$1" >/dev/null; }

# One line per missing thing: the Debian packages that bring it, then what it is.
missing_tools() {
    has cc || echo "gcc libc6-dev|a C compiler and linker (cc)"
    has git || echo "git|git"
    has curl || echo "curl ca-certificates|curl"
    has jq || echo "jq|jq"
    has_venv || echo "python3 python3-venv python3-pip|Python 3.11 or newer with venv and pip"
    has_node || echo "nodejs npm|Node 20 or newer with npm"
    has_postgres || echo "postgresql|the PostgreSQL server programs (initdb, postgres)"
    has ps || echo "procps|ps"
    has setpriv || echo "util-linux|setpriv"
}

# Without this, Debian's package makes and starts a server of its own, which nobody asked for.
install_without_a_cluster() {
    local settings=/etc/postgresql-common/createcluster.conf kept
    apt-get install -y --no-install-recommends postgresql-common
    kept=$(mktemp)
    cp "$settings" "$kept"
    echo "create_main_cluster = false" >>"$settings"
    apt-get install -y --no-install-recommends postgresql || { cp "$kept" "$settings"; return 1; }
    cp "$kept" "$settings"
    rm -f "$kept"
}

install_tools() {
    local missing packages
    missing=$(missing_tools)
    [ -n "$missing" ] || return 0
    packages=$(cut -d'|' -f1 <<<"$missing" | tr '\n' ' ')
    if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
        printf 'missing on this machine: %s\n' "$(cut -d'|' -f2 <<<"$missing" | paste -sd';' | sed 's/;/; /g')"
        printf 'on Debian, as root: apt-get install %s\n' "$packages"
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    if ! has_postgres; then
        install_without_a_cluster
        packages=${packages/postgresql/}
    fi
    # shellcheck disable=SC2086 # a list of packages
    [ -z "${packages// /}" ] || apt-get install -y --no-install-recommends $packages
    missing=$(missing_tools)
    [ -z "$missing" ] || { printf 'still missing after the installation: %s\n' "$missing"; return 1; }
}

# rustup can come without these two; a distribution's Rust has packages of its own.
install_rust_parts() {
    local part missing=()
    has cargo || { echo "missing on this machine: Rust (https://rustup.rs)"; return 1; }
    for part in fmt clippy; do
        cargo "$part" --version >/dev/null 2>&1 || missing+=("${part/#fmt/rustfmt}")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    has rustup || { echo "missing on this machine: ${missing[*]} of Rust"; return 1; }
    rustup component add "${missing[@]}"
}

tools() {
    install_tools || return
    install_rust_parts || return
    printf 'cargo %s, python %s, node %s, %s\n' "$(cargo --version | cut -d' ' -f2)" \
        "$(python3 -c 'import platform; print(platform.python_version())')" "$(node --version)" \
        "$("$(postgres_bin)/postgres" --version)" >"$steps_log/.tools"
    sed 's/^/summary: /' "$steps_log/.tools"
}

# The machine's own settings, and those of whoever runs this, are not the tests'. PG* are those of PostgreSQL's programs.
unset_our_settings() {
    local name
    for name in $(sed -n 's/^#\?\([A-Z][A-Z_]*\)=.*/\1/p' .env.example) $(compgen -e | grep -E '^PG|^(POSTGRES|REDIS|GOOGLE)_') \
        JWT_SECRET TEST_DATABASE_URL RUST_LOG; do
        unset "$name"
    done
}
