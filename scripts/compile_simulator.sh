#!/bin/sh
# Compile the modules that simulations spend their time in, by mypyc, into a copy of the package.
#
# Usage: scripts/compile_simulator.sh && PYTHONPATH=build/compiled .venv/bin/shoal sim run FILE
#
# The sources are those of src/, unchanged; results are the same to the byte. Needs a C compiler
# and Python's headers.
set -eu
cd "$(dirname "$0")/.."
modules='
core/ring/chord core/ring/circle core/ring/encounters core/ring/fingers core/ring/lookup
core/ring/membership
core/discovery/buyer core/discovery/context core/discovery/hits core/discovery/offers
core/discovery/rank core/discovery/supplier core/discovery/trader
sim/experiments/node sim/experiments/wheel sim/experiments/world'
python=$PWD/.venv/bin/python
rm -rf build/compiled
mkdir -p build/compiled
cp -r src/shoal build/compiled/
cd build/compiled
files=
for module in $modules; do
    files="$files shoal/$module.py"
done
# shellcheck disable=SC2086 # one word per module
"$python" -m mypyc $files >mypyc.log 2>&1 || { tail -20 mypyc.log; exit 1; }
rm -rf build
echo "compiled into build/compiled: run with PYTHONPATH=build/compiled"
