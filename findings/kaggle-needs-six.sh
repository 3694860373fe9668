#!/usr/bin/env bash
# kaggle: its command-line client, installed alone, cannot start: `ModuleNotFoundError: No module named 'six'`.
#
# One would guess: `pip install kaggle` gives a client that starts, for pip installs what it says it needs.
# Seen: kaggle 2.2.5 imports six (kaggle/models/upload_file.py) and does not name it among its requirements. It came along with
# python-dateutil, whose releases before 4 need it; python-dateutil 4 does not any more. `pip check` finds nothing wrong, and an
# environment that is older, or that has anything else that brings six, works: so it fails only where nobody has tried before.
# Do instead: `pip install kaggle six`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
pip="$folder/environment/bin/pip"
export HOME="$folder" PIP_DISABLE_PIP_VERSION_CHECK=1
"$pip" install --quiet kaggle==2.2.5 python-dateutil==4.0.0

"$pip" list | grep --extended-regexp '^(kaggle|python-dateutil|six) '
echo "pip check: $("$pip" check)"
if "$folder/environment/bin/kaggle" --version > "$folder/said" 2>&1; then
    echo "kaggle --version works without six: $(cat "$folder/said")"
    exit 1
fi
echo "kaggle --version: $(tail -n 1 "$folder/said")"
grep --quiet "No module named 'six'" "$folder/said"

"$pip" install --quiet six==1.17.0
echo "with six: $("$folder/environment/bin/kaggle" --version)"
