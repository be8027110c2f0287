#!/bin/busybox sh
# First program of the emulated machine: mounts, drivers, network, then adbd for ever.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777,size=320m data /data
mkdir -p /data/local/tmp/chordkit
chmod 0777 /data/local /data/local/tmp /data/local/tmp/chordkit
while read -r module; do insmod "/modules/$module" || echo "init: $module does not load"; done < /modules/order
echo -1 > /proc/sys/kernel/perf_event_paranoid
echo 0 > /proc/sys/kernel/randomize_va_space
ip link set lo up
ip address add 10.0.2.15/24 dev eth0 && ip link set eth0 up || echo "init: no network"
if [ -d /python/usr ]; then
    for folder in proc sys dev data tmp; do mount --rbind "/$folder" "/python/$folder"; done
fi
echo "init: ready"
while true; do
    ADBD_PORT=6000 adbd > /tmp/adbd.log 2>&1
    echo "init: adbd ended with $?"
    sleep 0.2
done
