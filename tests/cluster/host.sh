#!/usr/bin/env bash
# One host of hosts.py, as the first process of its own PID, mount, UTS and network namespaces: a root folder that is
# copied on write and forgotten at the end, an empty home and /tmp, and sshd.
#
#   host.sh NAME FOLDER DISK_SIZE PUBLIC_KEY HOST_KEY KEPT
#
# KEPT is a folder under the home that stays visible, read-only: where the interpreter lies. "" for none.
set -euo pipefail
name=$1 folder=$2 size=$3 public_key=$4 host_key=$5 kept=$6
root=$folder/root

mount --make-rprivate /
mount -t tmpfs -o "size=$size" tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$root" "$folder/home"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o size=2g tmpfs "$root/dev/shm"
mount -t tmpfs -o "size=$size" tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"

# The disk is the home's too, so that filling one fills the other.
install -d -m 700 "$folder/home/.ssh"
install -m 600 "$public_key" "$folder/home/.ssh/authorized_keys"
install -m 600 "$host_key" "$root/run/host_key"
[ -z "$kept" ] || mkdir -p "$folder/home${kept#"$HOME"}"
mount --bind "$folder/home" "$root$HOME"
if [ -n "$kept" ]; then
    mount --bind "$kept" "$root$kept"
    mount -o remount,bind,ro "$root$kept"
fi
mkdir -p "$root/run/sshd"
cp "$(dirname "$public_key")/etc_hosts" "$root/etc/hosts"
: >"$root/etc/resolv.conf"   # no name server: answers come at once, not after ten seconds

cd "$root"
pivot_root . .
umount -l .
cd /
hostname "$name"
exec /usr/sbin/sshd -D -e -h /run/host_key -o PidFile=none -o UsePAM=no -o PermitRootLogin=prohibit-password
