#!/bin/sh
# Makes .venv from the lock file, unless it is there and newer than what it is made from.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed
if [ -e "$stamp" ] && .venv/bin/python -c '' 2>/dev/null &&
    [ -z "$(find requirements.lock pyproject.toml -newer "$stamp")" ]; then
    exit 0
fi
python=$(python3 scripts/preflight.py --python)
if [ -z "$python" ]; then
    echo "scripts/venv.sh: no Python 3.11 or later here: run python3 scripts/preflight.py" >&2
    exit 2
fi
echo "installing into .venv from requirements.lock"
# A .venv whose Python is gone cannot be repaired; any other is updated in place.
.venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement requirements.lock
# The build backend is in the lock too, so nothing is fetched that has no hash.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --editable .
touch "$stamp"
