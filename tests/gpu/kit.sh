#!/bin/sh
# Measure this machine's GPU on the models that Clearway serves; tests/gpu/README.md says how to read what it writes.
#   tests/gpu/kit.sh                                     everything that fits into nine minutes
#   tests/gpu/kit.sh --stages training-bfloat16 tests    only these, in this order
#   tests/gpu/kit.sh --tiny --out /tmp/kit               tiny models on the CPU, to try the kit itself
set -eu
cd "$(dirname "$0")/../.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
exec "$PYTHON" -m tests.gpu.kit "$@"
