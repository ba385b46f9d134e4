#!/usr/bin/env bash
# Checks the model of the send protocol: the full protocol must hold, and each variant that leaves a part out must fail.
# Needs spin and a C compiler. Prints one line a check and a figure; ends non-zero when one is not as it should be.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0
total=0

# run NAME WANT DEFINES... -- PAN_FLAGS... ; with CLAIM set, checks that ltl formula, else the assertions and deadlocks.
run() {
  local name="$1" want="$2"; shift 2
  local defines=() flags=()
  while [ "$1" != "--" ]; do defines+=("$1"); shift; done
  shift
  flags=("$@")
  local compile=(-O2 -DCOLLAPSE -DVECTORSZ=2048)
  if [ -n "${CLAIM:-}" ]; then
    flags=(-a -N "$CLAIM" "${flags[@]}")
    [ "$CLAIM" = ends ] && { compile+=(-DNFAIR=4); flags+=(-f); }
  else
    compile+=(-DNOCLAIM -DSAFETY)
  fi
  spin "${defines[@]}" -a "$here/send.pml" >spin.log 2>&1 || { cat spin.log; exit 1; }
  gcc "${compile[@]}" -o pan pan.c 2>gcc.log || { cat gcc.log; exit 1; }
  ./pan -m400000 "${flags[@]}" >pan.log 2>&1 || true
  local errors states got
  errors="$(sed -nE 's/.*errors: ([0-9]+).*/\1/p' pan.log | head -1)"
  states="$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' pan.log | head -1)"
  if [ -z "$errors" ] || grep -qE 'max search depth too small|out of memory' pan.log; then got=incomplete
  elif [ "$errors" = 0 ]; then got=holds
  else got=fails; fi
  if [ "$got" = "$want" ]; then printf 'ok    %-52s %s, %s states\n' "$name" "$got" "$states"
  else printf 'WRONG %-52s %s, should be: %s\n' "$name" "$got" "$want"; tail -20 pan.log; failed=1; fi
  states="$(printf '%.0f' "$states")"
  total=$((total + states))
}

run "V0 nothing: jobs run again"                         fails -DVARIANT=0 --
run "V1 no reconciler: unknown is sent again"            fails -DVARIANT=1 --
run "V2 no settle time"                                  fails -DVARIANT=2 --
run "V3 no check before the write"                       fails -DVARIANT=3 --
run "V4 no bound on the pause after it"                  fails -DVARIANT=4 --
run "V7 no fence"                                        fails -DVARIANT=7 --
run "V5 full: at most one, no deadlock"                  holds -DVARIANT=5 --
full=$total
CLAIM=truth        run "V5 accepted and refused are true"       holds -DVARIANT=5 --
CLAIM=nothing_sent run "V5 parked: nothing was sent"            holds -DVARIANT=5 --
CLAIM=absorb       run "V5 a refusal stays"                     holds -DVARIANT=5 --
CLAIM=ends         run "V5 every send ends (weak fairness)"     holds -DVARIANT=5 --
run "V6 hold: at most one, whatever the times"           holds -DVARIANT=6 --
CLAIM=truth        run "V6 accepted and refused are true"       holds -DVARIANT=6 --
CLAIM=ends         run "V6 every send ends"                     holds -DVARIANT=6 --
CLAIM=nothing_sent run "V6 parked: it may have been sent"       fails -DVARIANT=6 --
if [ -n "${DEEP:-}" ]; then
  run "V5 with 4 attempts and 3 crashes"                 holds -DVARIANT=5 -DATTEMPTS=4 -DCRASHES=3 --
fi
echo "figure model_states $total states n=1"
exit "$failed"
