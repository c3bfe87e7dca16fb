#!/usr/bin/env bash
# A run on Slurm: one Ray over the allocation, the driver on its first node, everything gone when it ends.
#
#   sbatch experiments/clusters/slurm.sh experiments/t4.yaml --tag monday --trials 200
#   sbatch experiments/clusters/slurm.sh --resume --tag monday      # after the time limit, or a lost node
#
# From the checkout, with its .venv made by experiments/clusters/setup.sh or `make`, both where all nodes see them. Or, where
# Slurm has pyxis, in the image of the Dockerfile here, then without a .venv:
#
#   enroot import -o autoresearch.sqsh 'docker://REGISTRY#autoresearch:1'
#   AUTORESEARCH_IMAGE=$PWD/autoresearch.sqsh sbatch experiments/clusters/slurm.sh experiments/t4.yaml --tag monday
#
# Runs go to runs/ here. The arguments are those of `python -m autoresearch_ray.launch`.
#SBATCH --job-name=autoresearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1          # one Ray a node
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-node=t4:1
#SBATCH --time=08:00:00
#SBATCH --output=autoresearch-%j.log
set -euo pipefail

cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/.venv/bin:$PATH"
export AUTORESEARCH_HOME="${AUTORESEARCH_HOME:-$PWD/.cache}"
export RAY_USAGE_STATS_ENABLED=0

# A key of this job alone: on a shared machine the dashboard and the job API are open to every user else.
RAY_AUTH_TOKEN_PATH=$(umask 077 && mktemp "$HOME/.autoresearch-token-XXXXXX")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
od -An -N 32 -tx1 /dev/urandom | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(getent ahostsv4 "$head" | awk 'NR == 1 { print $1 }')
port=$((20000 + SLURM_JOB_ID % 20000))   # several jobs may share a head node

# The search ends itself before Slurm would; what it decided is on disk all the same.
hours=$(awk -v end="${SLURM_JOB_END_TIME:-0}" -v now="$(date +%s)" 'BEGIN { print (end > now + 1200 ? (end - now) / 3600 - 0.2 : 1) }')

# The image's own folder of runs and cache is this one.
container=()
if [ -n "${AUTORESEARCH_IMAGE:-}" ]; then
    container=(--container-image="$AUTORESEARCH_IMAGE" --container-workdir=/work
        --container-mounts="$PWD:/work,$RAY_AUTH_TOKEN_PATH:$RAY_AUTH_TOKEN_PATH")
fi

# --kill-on-bad-exit=0: the run goes on when a node dies, without that node's slots.
srun --kill-on-bad-exit=0 "${container[@]}" \
    ray symmetric-run --address "$address:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="$SLURM_CPUS_PER_TASK" -- \
    python -m autoresearch_ray.launch --address auto --plain --hours "$hours" "$@"
