#!/usr/bin/env bash
# Bring stages of DVC up to date, one after the other; each line of what they say has the run's name before it, as
# several runs may go on at a time.
#
#   tools/logged.sh STAGE@RUN ...      also written to work/logs/RUN
#
# The exit status is DVC's. What passes the lines on outlives a Ctrl-C, so that the last ones are not lost.
set -o pipefail
if ! [[ ${1-} =~ ^[a-z]+@([A-Za-z0-9_-]+)$ ]]; then
    echo "error: '${1-}' is no stage of a run; give one or more, as train@synthetic-mini-rsrefseg-0" >&2
    exit 2
fi
run=${BASH_REMATCH[1]}
mkdir -p work/logs
dvc --wait-for-lock repro --single-item "$@" 2>&1 \
    | (trap '' INT TERM HUP && sed --unbuffered "s/^/$run: /" | tee "work/logs/$run")
