#!/bin/sh
# Measures what benchmarks/results holds, one file after another, on a machine that does nothing else.
#
#   scripts/figures.sh                  everything: some two hours
#   scripts/figures.sh tapes swings     these files alone
#   scripts/figures.sh --list           the names, and what is run for each
#
# Each is bounded in time and writes its own file, so one that fails leaves the others as they are;
# the exit code is then 1. CROSSBOOK_DATA is the folder of public files (../shared/data).
set -u
cd "$(dirname "$0")/.." || exit 1
PYTHON=.venv/bin/python
DATA="${CROSSBOOK_DATA:-../shared/data}"
FLASH="$DATA/flash"
CORE="$DATA/exchange-core"

# name, minutes at most, runs, then the benchmark and its arguments
figures() {
    cat <<LIST
tapes 15 3 tapes $FLASH/normal_seed23.bin.xz $FLASH/static_seed23.bin.xz --runs 10
swings 20 3 swings --runs 10
exchange-core 5 5 exchange_core $CORE/seed42.csv.xz --l2 $CORE/seed42.l2.csv --runs 10
books 15 3 books
memory 10 1 memory
pipeline-embedded 10 3 pipeline --mode embedded --seconds 20
pipeline-embedded-60s 5 1 pipeline --mode embedded --seconds 60
pipeline-kafka 15 3 pipeline --mode kafka --seconds 30
faust-matcher 15 3 faust_matcher
replay 15 3 replay
restart 25 1 restart
growth-instruments 10 1 growth instruments
growth-log 25 1 growth log
websocket 10 3 websocket --clients 500 --seconds 5
websocket-1000 10 3 websocket --clients 1000 --seconds 4 --quick
websocket-stalled 10 3 websocket --only crossbook --clients 490 --stalled 10 --seconds 6
multicast 10 3 multicast
graphql-reads 10 3 graphql_reads
analytics 15 3 analytics
dashboard 15 1 dashboard
LIST
}

if [ "${1:-}" = "--list" ]; then
    figures
    exit 0
fi
for name in "$@"; do
    if ! figures | grep -q "^$name "; then
        echo "no figure $name; see scripts/figures.sh --list" >&2
        exit 2
    fi
done
failed=""
wanted=" $* "
# On a descriptor of its own: the benchmarks may read standard input.
while read -r name minutes runs benchmark arguments <&3; do
    case "$wanted" in
        "  " | *" $name "*) ;;
        *) continue ;;
    esac
    echo "== $name: at most $minutes minutes"
    # shellcheck disable=SC2086 # the arguments are words
    if ! timeout -k 30 "${minutes}m" "$PYTHON" -m benchmarks.record "$name" "$runs" -- \
        "$PYTHON" -m "benchmarks.$benchmark" $arguments </dev/null; then
        failed="$failed $name"
    fi
done 3<<LIST
$(figures)
LIST
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
