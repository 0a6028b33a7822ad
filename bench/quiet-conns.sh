#!/bin/sh
# What a quiet connection costs in memory, by the thousand: user space, kernel,
# and both for a million. The server is one process, so its limit of open files
# is that of the connections; the clients are others.
#
# usage: bench/quiet-conns.sh [connections]
set -eu
cd "$(dirname "$0")/.."
EDDY_QUIET_CONNS=${1:-19000} go test -run xxx -bench QuietConnection -benchtime 1x ./tcp
grep '^TCP' /proc/net/sockstat 2>/dev/null || true
