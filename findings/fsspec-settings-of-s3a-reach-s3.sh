#!/usr/bin/env bash
# fsspec with s3fs: settings kept for s3a:// are used for s3:// as well, and win.
#
# One would guess: `fsspec.config.conf["s3a"]` speaks of s3a:// URLs only, as the key is a protocol.
# Seen: fsspec applies the settings of every alias of a file system's class, in the order of the aliases, to every URL. So an
# endpoint (or credentials) meant for one store under s3a:// sends s3:// URLs there too, and the later alias overrides the earlier.
# Do instead: keep settings under one alias only; where two stores are needed, pass their options to the call
# (`fsspec.filesystem("s3", endpoint_url=...)`), which wins over both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet fsspec==2026.9.0 s3fs==2026.9.0
cd "$folder"
cat > look.py <<'PYTHON'
import fsspec
import s3fs
from fsspec.config import conf

conf["s3"] = {"endpoint_url": "http://store-of-s3.example"}
print("fsspec", fsspec.__version__, "s3fs", s3fs.__version__, "aliases", s3fs.S3FileSystem.protocol)
first = fsspec.core.url_to_fs("s3://bucket/key")[0].endpoint_url
conf["s3a"] = {"endpoint_url": "http://store-of-s3a.example"}
both = fsspec.core.url_to_fs("s3://bucket/key")[0].endpoint_url
passed = fsspec.core.url_to_fs("s3://bucket/key", endpoint_url="http://passed.example")[0].endpoint_url
print("s3:// with settings of s3 only:   ", first)
print("s3:// with settings of s3 and s3a:", both)
print("s3:// with an endpoint passed:    ", passed)
assert first == "http://store-of-s3.example"
assert both == "http://store-of-s3a.example", "the behaviour has changed"
assert passed == "http://passed.example"
PYTHON
"$folder/environment/bin/python" look.py
