# shellcheck shell=bash
# Sourced by scripts/check: a PostgreSQL server of our own, on a free port of the loopback, with its data in the run's
# temporary folder. It is a child of the check and the kernel ends it should the check itself be killed.

# start_postgres FOLDER [-c SETTING]...: sets `postgres_url`.
start_postgres() {
    local folder=$1 bin port as=()
    shift
    bin=$(postgres_bin)
    mkdir -p "$folder"
    # The server refuses to run as root.
    if [ "$(id -u)" -eq 0 ]; then
        local user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        chown "$user" "$folder"
        as=(--reuid "$user" --regid "$(id -g "$user")" --clear-groups)
    fi
    (cd "$folder" && setpriv "${as[@]}" "$bin/initdb" --pgdata data --username postgres --auth trust \
        --encoding UTF8 --locale C --no-sync) >"$steps_log/initdb.log" 2>&1 || { cat "$steps_log/initdb.log"; return 1; }
    for _ in 1 2 3 4 5; do
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        # The suite opens a database and its pools for every test.
        (cd "$folder" && exec setpriv "${as[@]}" --pdeathsig INT "$bin/postgres" -D data -p "$port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories="" -c max_connections=500 \
            -c shared_buffers=256MB -c max_wal_size=4GB -c log_min_messages=warning "$@") >"$steps_log/postgres.log" 2>&1 </dev/null 9>&- &
        postgres_pid=$!
        at_exit+=("stop_postgres $postgres_pid")
        if postgres_answers "$bin" "$port" "$postgres_pid"; then
            postgres_url="postgres://postgres@127.0.0.1:$port/postgres"
            return 0
        fi
    done
    cat "$steps_log/postgres.log"
    return 1
}

postgres_answers() {
    local n
    for ((n = 0; n < 300; n++)); do
        kill -0 "$3" 2>/dev/null || return 1
        "$1/pg_isready" -q -h 127.0.0.1 -p "$2" && return 0
        sleep 0.1
    done
    return 1
}

# SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
stop_postgres() {
    local n
    kill -INT "$1" 2>/dev/null || return 0
    for ((n = 0; n < 100; n++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -QUIT "$1" 2>/dev/null || true
}
