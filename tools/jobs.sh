#!/bin/sh
# How many trainings `make repro` runs at a time.
#
#   tools/jobs.sh [JOBS]
#
# As many as JOBS says. Without it one for each processor that this process may use (train.threads is 1 in mini), as far
# as memory is free for them; one on a machine with a GPU, where each would take the whole of it.
set -u
MEMORY=2 # GB of one training of mini, with room

if [ -n "${1-}" ]; then
    case "$1" in
    *[!0-9]* | 0*) echo "error: JOBS=$1 is no number of jobs; give 1 or more" >&2 && exit 1 ;;
    esac
    echo "$1" && exit
fi
if nvidia-smi --list-gpus 2> /dev/null | grep -q GPU; then
    echo 1 && exit
fi
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # which would heed them
free=$(awk '/^MemAvailable:/ { print int($2 / 1000000) }' /proc/meminfo 2> /dev/null)
room=$((${free:-$MEMORY} / MEMORY))
[ "$room" -lt "$cores" ] && cores=$room
[ "$cores" -lt 1 ] && cores=1
echo "$cores"
