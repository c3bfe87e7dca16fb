#!/usr/bin/env bash
# The page of a run in a container, for a browser outside: `docker exec CONTAINER autoresearch-page runs/TAG`.
#
# The page's server listens on the container's loopback alone. This passes its port on from the container's own network,
# to which `docker run --publish 127.0.0.1:8000:8000` leads from the machine. Other containers of that network get there
# too; there is no password.
set -euo pipefail

run=${1:?expected a run\'s folder, such as runs/TAG}
port=${2:-8000} # the same outside: the server answers no other
read -r address _ < <(hostname -I)
socat "TCP-LISTEN:$port,bind=$address,reuseaddr,fork" "TCP:127.0.0.1:$port" &
trap 'kill $!' EXIT
autoresearch-ray watch "$run" --port "$port"
