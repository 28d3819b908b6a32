#!/usr/bin/env bash
# PID 1 of a machine; machines.py runs it in namespaces of its own:
#     machine.sh NAME ADDRESS GATEWAY DISKS SIZE SHARED...
# Its root is this computer's file system under a disk of its own: it sees what is installed here,
# and what it writes stays its own. That disk lies in DISKS, a tmpfs of the whole network (overlayfs
# takes no overlay for its upper layer, which is what a container's disk is). /tmp, /run and
# /dev/shm start empty; SHARED folders are there, read-only.
set -euo pipefail
name=$1 address=$2 gateway=$3 disks=$4 size=$5
shift 5

read -r pid _ < /proc/self/stat # as the parent knows it: /proc is still the outer one

mount --make-rprivate /
disk=$disks/$name # a reboot finds it as it was
mkdir -p "$disk/upper" "$disk/work" "$disk/home" "$disk/root"
mount -t overlay machine -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
cd "$disk/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755,size=64k dev dev
for device in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "dev/${stream#*:}"; done
mount -t tmpfs -o "mode=1777,size=$size" shm dev/shm
mount -t tmpfs -o mode=755 run run
mkdir run/sshd run/lock

mount -t tmpfs -o "mode=1777,size=$size" tmp tmp
mount --bind "$disk/home" root
for file in .bashrc .profile; do [ -e "root/$file" ] || cp "/etc/skel/$file" root/; done
for folder in "$@"; do
  mkdir -p ".$folder"
  mount --bind "$folder" ".$folder"
  mount -o remount,bind,ro ".$folder"
done

mkdir .outer
pivot_root . .outer
cd /
umount -l /.outer
rmdir /.outer

hostname "$name"
echo "$name" > /etc/hostname
ip link set lo up

echo "ready $pid"
read -r hosts # machines.py has put eth0 here: "address name,address name,..."
{
  echo "127.0.0.1 localhost"
  tr ',' '\n' <<< "$hosts"
} > /etc/hosts
ip address add "$address/24" dev eth0
ip link set eth0 up
ip route add default via "$gateway" # Ray finds its own address by a route to 8.8.8.8; none leads there

[ -e /etc/ssh/machine_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/machine_key
cat > /etc/ssh/machine_config << END
ListenAddress $address
HostKey /etc/ssh/machine_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxSessions 100
MaxStartups 100
PidFile none
END
/usr/sbin/sshd -D -e -f /etc/ssh/machine_config < /dev/null > /var/log/sshd.log 2>&1 &

echo "up"
exec < /dev/null > /dev/null 2>&1
trap 'exit 0' TERM
while :; do
  sleep 3600 &
  wait $! || true # bash reaps whatever is orphaned to PID 1
done
