#!/bin/sh
# Compares what a message costs echod (line mode, callbacks) and a goroutine-
# per-connection server on package net, each pinned to one core, the load on
# another. The two take turns; the last line is the median of the ratios of
# server CPU time for each message.
#
# usage: bench/echo-cost.sh [rounds] [load flags...]
set -eu
cd "$(dirname "$0")"
rounds=${1:-7}
[ $# -gt 0 ] && shift
mkdir -p bin
go build -o bin/ ./cmd/...
(cd .. && go build -o bench/bin/ ./cmd/echod)
: >bin/ratios

measure() { # name command...: prints the line, and leaves the cost in $cost
	name=$1
	shift
	rm -f bin/out
	GOMAXPROCS=1 taskset -c 0 "$@" >bin/out 2>/dev/null &
	server=$!
	until grep -qs listening bin/out; do sleep 0.05; done
	line=$(taskset -c 1 bin/echoload -addr "$(awk '{print $4}' bin/out)" -pid $server $load)
	kill $server
	wait $server 2>/dev/null || true
	echo "$name: $line"
	cost=$(echo "$line" | awk '{print $3}')
}

load="$*"
for round in $(seq "$rounds"); do
	measure "net  " bin/netecho
	net=$cost
	measure "echod" bin/echod -mode line -listen 127.0.0.1:0 -loops 1
	echo "$cost $net" | awk '{printf "%.3f\n", $1 / $2}' >>bin/ratios
done
sort -n bin/ratios | awk '{r[NR] = $1} END {printf "echod / net, CPU for each message: median %.3f, range %.3f to %.3f, %d rounds\n", r[int((NR + 1) / 2)], r[1], r[NR], NR}'
