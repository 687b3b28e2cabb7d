# shellcheck shell=bash
# Sourced by scripts/check: runs one step after the other, or two beside one another where they mostly wait, tells each
# one's time, and leaves nothing running.
#
# A step is a name and a command (a function is fine). It gets its own process group, so that an interrupted run can
# end all of it, and its own log; a failed step shows the end of its log and the run goes on, to find every failure.
# What has to be stopped at the end is pushed to `at_exit`. Nothing here decides what the steps are.

steps_log=${steps_log:?the folder for the logs}
steps_lines=() at_exit=()
steps_passed=0 steps_failed=0
# Those that run now: their process groups, names and logs.
steps_running=() steps_names=() steps_logs=()

# step NAME COMMAND...: never fails itself; `finish` tells whether all passed. Ends with whatever was begun beside it.
step() {
    begin_step "$@"
    end_steps
}

# beside NAME COMMAND...: a step that runs while the next one does.
beside() { begin_step "$@"; }

begin_step() {
    local name=$1 log="$steps_log/${1// /-}.log" began=$SECONDS
    shift
    printf '== %s\n' "$name"
    # Job control gives the step a process group of its own.
    set -m
    (
        set +e
        trap - EXIT INT TERM HUP
        (
            set -euo pipefail
            "$@"
        )
        status=$?
        printf '%s' "$((SECONDS - began))" >"$log.took"
        exit "$status"
    ) >"$log" 2>&1 </dev/null 9>&- &
    steps_running+=("$!")
    set +m
    steps_names+=("$name")
    steps_logs+=("$log")
}

# Waits for all that run, and tells how they went in the order of their beginning.
end_steps() {
    local n name log status took word
    for n in "${!steps_running[@]}"; do
        name=${steps_names[n]} log=${steps_logs[n]} status=0
        wait "${steps_running[n]}" || status=$?
        # Whatever the step forgot to end.
        kill -KILL -- "-${steps_running[n]}" 2>/dev/null || true
        unset "steps_running[n]"
        took=$(cat "$log.took" 2>/dev/null || echo "?")
        rm -f "$log.took"
        if [ "$status" -eq 0 ]; then
            word=passed
            steps_passed=$((steps_passed + 1))
        else
            word=FAILED
            steps_failed=$((steps_failed + 1))
            printf -- '-- the end of %s\n' "$log"
            tail -n "${STEPS_TAIL:-150}" "$log"
            printf -- '-- %s failed with status %s\n' "$name" "$status"
        fi
        steps_lines+=("$(printf '%-6s %5ss  %-28s %s' "$word" "$took" "$name" "$(note_of "$log")")")
        printf '   %s: %s after %s s\n' "$name" "$word" "$took"
    done
    steps_running=() steps_names=() steps_logs=()
}

# How many tests a log tells of, for the summary.
note_of() {
    awk '/^test result:/ { for (i = 2; i <= NF; i++) if ($i == "passed;") n += $(i - 1); seen = 1 }
         /^summary: / { note = substr($0, 10) }
         END { if (note != "") print note; else if (seen) print n " tests" }' "$1"
}

# counted COMMAND...: runs tests; fails also when nothing ran, or when one was ignored.
counted() {
    local out
    out=$(mktemp "$steps_log/counted.XXXXXX")
    # Said aloud, because `set -e` is off where a function is called in a condition.
    "$@" | tee "$out" || return
    awk '/^test result:/ { seen = 1; for (i = 2; i <= NF; i++) { if ($i == "passed;") ran += $(i - 1); if ($i == "ignored;") skipped += $(i - 1) } }
         END { if (!ran) { print "no test ran"; exit 1 } if (skipped) { print skipped " tests were ignored"; exit 1 } }' "$out"
    rm -f "$out"
}

# finish: the summary; fails when a step did, or when none ran.
finish() {
    end_steps
    printf '\n'
    printf '%s\n' "${steps_lines[@]}"
    printf '\n%s passed, %s failed\n' "$steps_passed" "$steps_failed"
    [ "$steps_failed" -eq 0 ] && [ "$steps_passed" -gt 0 ]
}

# Ends the running step and everything pushed to `at_exit`, the newest first. Set as the EXIT trap by `steps_begin`.
steps_end() {
    local status=$? n
    trap - EXIT
    trap '' INT TERM HUP
    for n in "${!steps_running[@]}"; do
        printf '\ninterrupted during: %s\n' "${steps_names[n]}" >&2
        end_group "${steps_running[n]}"
        [ "$status" -ne 0 ] || status=1
    done
    for ((n = ${#at_exit[@]} - 1; n >= 0; n--)); do
        eval "${at_exit[n]}" || true
    done
    exit "$status"
}

# group_runs PID: whether a process of the group still runs. One that has ended and only waits for init to take note of it
# does not; `kill -0` would count it, and init may take its time.
group_runs() { ps -A -o pgid= -o stat= | awk -v group="$1" '$1 == group && $2 !~ /^Z/ { found = 1 } END { exit !found }'; }

# end_group PID: asks a process group to end, and makes it after five seconds.
end_group() {
    local n
    kill -TERM -- "-$1" 2>/dev/null || return 0
    for ((n = 0; n < 50; n++)); do
        group_runs "$1" || return 0
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
}

steps_begin() {
    trap steps_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}
