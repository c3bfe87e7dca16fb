#!/usr/bin/env bash
# Ends Ray on machines of your own, workers included: experiments/clusters/down.sh experiments/clusters/local.yaml
#
# `ray down` alone stops the head; the workers' Ray follows after a minute, and leaves a log monitor on each for good.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 CLUSTER_FILE" >&2; exit 2; }

# shellcheck disable=SC2016  # expanded on the head
ray exec "$1" 'for ip in $(ray get-worker-ips ~/ray_bootstrap_config.yaml 2>/dev/null); do
    ssh -i ~/ray_bootstrap_key.pem -o StrictHostKeyChecking=no -o ConnectTimeout=10 "$ip" ". ~/.autoresearch.env; ray stop --force" >/dev/null ||
        echo "down: $ip does not answer, its Ray ends by itself" >&2
done'
ray down --yes "$1"
