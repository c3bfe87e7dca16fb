#!/usr/bin/env bash
# Sets up a node of any cluster file here: interpreter, package, cache, environment. Safe to run again.
#
#   AUTORESEARCH_CACHE_BUCKET=s3://NAME/PREFIX AUTORESEARCH_EFS=fs-... bash ~/autoresearch/experiments/clusters/setup.sh
#
# Needs curl (or uv), git and internet. Everything else is pinned: uv by its version, Python by uv, packages by
# constraints.txt, torch's CUDA libraries by torch.
set -euo pipefail

UV_VERSION=0.13.8
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${AUTORESEARCH_HOME:-$HOME/.cache/autoresearch_ray}
export PATH="$HOME/.local/bin:$PATH"

install_package() {
    command -v uv >/dev/null || curl -LsSf "https://astral.sh/uv/$UV_VERSION/install.sh" | sh
    [ -x "$home/.venv/bin/python" ] || uv venv --python 3.11 "$home/.venv"
    uv pip install --quiet --python "$home/.venv/bin/python" \
        --constraint "$home/experiments/clusters/constraints.txt" --editable "$home"
}

# bubblewrap shuts candidates in; without it they run with what the kernel alone offers, and every row says so.
install_isolation() {
    command -v bwrap >/dev/null && return
    command -v apt-get >/dev/null || return 0
    sudo apt-get update -qq && sudo apt-get install -y -qq -o DPkg::Lock::Timeout=300 bubblewrap git ||
        echo "setup: bubblewrap could not be installed" >&2
}

mount_efs() {
    [ -n "${AUTORESEARCH_EFS:-}" ] || return 0
    cache=/mnt/autoresearch/cache
    if ! mountpoint -q /mnt/autoresearch; then
        command -v mount.nfs4 >/dev/null || sudo apt-get install -y -qq nfs-common
        sudo mkdir -p /mnt/autoresearch
        region=$(ec2_metadata placement/region)
        sudo mount -t nfs4 -o nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport \
            "$AUTORESEARCH_EFS.efs.$region.amazonaws.com:/" /mnt/autoresearch
        sudo chown "$(id -u):$(id -g)" /mnt/autoresearch
    fi
}

ec2_metadata() {
    local token
    token=$(curl -sSf -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token)
    curl -sSf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

# A data set that arrives damaged or half is found by its fingerprint and built again.
copy_cache() {
    [ -n "${AUTORESEARCH_CACHE_BUCKET:-}" ] || return 0
    mkdir -p "$cache/datasets"
    aws s3 sync --only-show-errors "${AUTORESEARCH_CACHE_BUCKET%/}/datasets" "$cache/datasets"
}

# The first line of ~/.bashrc, which ends early for shells without a terminal. Ray's commands all read it.
write_environment() {
    cat >"$HOME/.autoresearch.env" <<END
export PATH="$home/.venv/bin:\$HOME/.local/bin:\$PATH"
export RAY_AUTH_MODE=token RAY_ADDRESS=auto RAY_USAGE_STATS_ENABLED=0
export AUTORESEARCH_HOME="$cache" AUTORESEARCH_ROOT="$home" AUTORESEARCH_PYTHON="$home/.venv/bin/python"
cd "$home"
END
    touch "$HOME/.bashrc"
    if ! grep -q autoresearch.env "$HOME/.bashrc"; then
        echo ". $HOME/.autoresearch.env" | cat - "$HOME/.bashrc" >"$HOME/.bashrc.new"
        mv "$HOME/.bashrc.new" "$HOME/.bashrc"
    fi
    if [ -f "$HOME/.ray/auth_token" ]; then
        chmod 700 "$HOME/.ray" && chmod 600 "$HOME/.ray/auth_token"
    fi
}

install_isolation
install_package
mount_efs
mkdir -p "$cache"
copy_cache
write_environment
