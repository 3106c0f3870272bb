#!/usr/bin/env bash
# Bring one stage of DVC up to date; each line of what it says has its name before it, as several may run at a time.
#
#   tools/logged.sh STAGE          also written to work/logs/STAGE
#
# The exit status is DVC's. What passes the lines on outlives a Ctrl-C, so that the last ones are not lost.
set -o pipefail
mkdir -p work/logs
dvc --wait-for-lock repro --single-item "$1" 2>&1 \
    | (trap '' INT TERM HUP && sed --unbuffered "s/^/$1: /" | tee "work/logs/$1")
