#!/bin/sh
# Makes a virtual environment with the reference implementation and shows that it answers.
#
#   cfg/conformance/peer.sh [FOLDER]
#
# FOLDER defaults to target/peer. The last line of output is the interpreter to use:
#
#   export VTBUILD_PEER_PYTHON="$(cfg/conformance/peer.sh | tail -n 1)"
#
# The package is pinned by version and hash in requirements.txt. It is run as it is; nothing of it enters this repository.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../target/peer}
python=$folder/bin/python

if ! "$python" -c 'import virttest.cartesian_config' 2>/dev/null; then
    mkdir -p "$folder"
    "${PYTHON:-python3}" -m venv "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement "$here/requirements.txt"
fi
python=$(cd "$folder/bin" && pwd)/python

export PYTHONHASHSEED=0 PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1
request='{"text": "x = 1\nvariants v:\n  - a:\n  - @b:\n      x += 2", "lines": ["only b"], "defaults": false,
    "expand": [], "keep_dups": false, "most": 10, "seconds": 10}'
wanted='{"dumps": ["{\"_name_map_file\":{\"<string>\":\"(v=b)\"},\"_short_name_map_file\":{\"<string>\":\"b\"},\"dep\":[],\"name\":\"(v=b)\",\"shortname\":\"\",\"v\":\"b\",\"x\":\"12\"}"]}'
answer=$(printf '%s' "$request" | tr '\n' ' ' | "$python" "$here/oracle.py")
if [ "$answer" != "$wanted" ]; then
    printf 'the oracle gave an unexpected answer:\n%s\n' "$answer" >&2
    exit 1
fi
"$python" -c 'import sys; from importlib.metadata import version
print("reference", version("avocado-framework-plugin-vt"), "under Python", sys.version.split()[0], "answers")'
printf '%s\n' "$python"
