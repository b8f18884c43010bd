#!/usr/bin/env bash
# Gets the strangers ready and prints the folder they are in: from npm Sigstore's verifier and age in TypeScript; from PyPI securesystemslib, compliance-trestle
# and validators of OCSF; and a small program around Go's x/mod, if Go and Debian's golang-golang-x-mod-dev are here. Which of them are
# missing, the tests say.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CORDON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cordon}
home=$cache/strangers-$(cat "$here"/*.json "$here"/*.js "$here"/*.py "$here"/*.go | sha256sum | cut -c1-16)
mkdir -p "$home"
cp "$here"/*.json "$here"/*.js "$here"/*.py "$home"
if [ ! -e "$home/node_modules/.complete" ] && command -v npm >/dev/null; then
  (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund --silent >&2) && touch "$home/node_modules/.complete"
fi
# Not a link: Python looks for its packages beside the path that it was started by.
printf '#!/bin/sh\nexec "%s/bin/python" "$@"\n' "$(python3 "$here/../local-aws/venvs.py" strangers)" >"$home/python.part"
chmod +x "$home/python.part" && mv "$home/python.part" "$home/python"
modules=/usr/share/gocode
if [ ! -x "$home/tlog" ] && command -v go >/dev/null && [ -d "$modules/src/golang.org/x/mod/sumdb" ]; then
  GO111MODULE=off GOPATH=$modules GOCACHE=$home/go-cache go build -o "$home/tlog" "$here/tlog.go" >&2
fi
echo "$home"
