#!/bin/sh
# Brings up the demo and says what to type next. The last line points the stock client at it.
set -eu
cd "$(dirname "$0")/.."
line=$(.venv/bin/shoal lab up --hosts 3 --image build/demo.tar --images-on b)
cat <<TEXT

Three hosts run on this machine; every one of them answers for all of them.
  The shoal command:  export PATH="$PWD/.venv/bin:\$PATH"
  Try:                shoal status; shoal lab status
  Stop it:            make demo-down
Point Docker's own client at the cloud:
$line
TEXT
