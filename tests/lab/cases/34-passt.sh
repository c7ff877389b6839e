# A network without a tap and without rights: a stock guest gets an address by DHCP from passt and pulls a file from a server behind the host.
# tier: full
# seconds: 35
# covers: vmm/MicroVm/Virtio/Net
source "$(dirname "$0")/../case.sh"
need passt:passt ip:iproute2

lab_run --timeout 400 --file /usr/bin/passt=/usr/bin/passt --file /usr/bin/passt.avx2=/usr/bin/passt.avx2 \
    --file "$(command -v ip)"=/usr/local/sbin/ip <<'LAB'
# The world: a namespace with a server in it, behind a pair of interfaces; passt has the other one with the default route.
echo "root:x:0:0::/:/bin/sh" >/etc/passwd
echo "nobody:x:65534:65534::/:/bin/false" >>/etc/passwd
echo "nogroup:x:65534:" >/etc/group
echo "nameserver 10.7.0.1" >/etc/resolv.conf
modprobe veth
ip() { /usr/local/sbin/ip "$@"; } # busybox has no pairs, and its shell prefers its own ip
mkdir /srv
head -c 1048576 /dev/urandom >/srv/1; echo "@sum $(md5sum </srv/1 | cut -c1-32)"
put_script <<"END"
mode=$(sed "s/.*mode=\([a-z]*\).*/\1/" /proc/cmdline)
ip link set eth0 up
printf "%s\n" "#!/bin/sh" "[ \$1 = bound ] || exit 0" "ip addr add \$ip/\$mask dev eth0; ip route add default via \$router; echo \"@${mode}_lease \$ip \$router \$mtu\" >/dev/console" >/lease
chmod +x /lease
udhcpc -i eth0 -q -n -O mtu -s /lease >/dev/null 2>&1 || echo "no lease"
timeout 100 wget -qO- http://10.8.0.1/1 | md5sum | cut -c1-32 | sed "s/^/@${mode}_pulled /"
[ $mode = dies ] || exit 0
echo "kill it"
i=0; while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && [ $i -lt 200 ]; do i=$((i+1)); usleep 100000; done
echo "@dies_link $(cat /sys/class/net/eth0/carrier)"
END
ip link add out type veth peer name world
unshare -n sh -c "echo \$\$ >/tmp/world; sleep 10000" &
until [ -s /tmp/world ]; do usleep 50000; done
in_world() { nsenter -t $(cat /tmp/world) -n "$@"; }
ip link set world netns $(cat /tmp/world)
ip addr add 10.7.0.2/24 dev out
ip link set out up
in_world /usr/local/sbin/ip addr add 10.7.0.1/24 dev world
in_world /usr/local/sbin/ip link set world up
in_world /usr/local/sbin/ip link set lo up
in_world /usr/local/sbin/ip addr add 10.8.0.1/32 dev lo # not the gateway: passt takes that address for the host itself
ip route add default via 10.7.0.1
in_world httpd -p 10.8.0.1:80 -h /srv
passts() { pidof passt passt.avx2 | wc -w; }
run --memory 256M --net passt --cmdline "console=ttyS0 quiet ipv6.disable=1 mode=lives microvm.exec=sh /script"; echo "@lives_code $?"
n=0; until [ $(passts) = 0 ] || [ $n = 50 ]; do n=$((n+1)); usleep 100000; done; echo "@left $(passts)"
microvm run $files --memory 256M --net user,transport=pci --cmdline "console=ttyS0 quiet ipv6.disable=1 mode=dies microvm.exec=sh /script" >/tmp/log 2>&1 & vm=$!
n=0; until grep -q "kill it" /tmp/log || [ $n = 1200 ]; do n=$((n+1)); usleep 100000; done
kill -9 $(pidof passt passt.avx2)
wait $vm; echo "@dies_code $?"; cat /tmp/log
run --net socket=/tmp/nobody.sock; echo "@nobody_code $?"
run --net passt,tcp=nonsense; echo "@ports_code $?"
mv /usr/bin/passt /usr/bin/gone; run --net passt; echo "@missing_code $?"
LAB
expect_exit 0 "the lab ends well"
for mode in lives dies; do
    expect_value "$mode: the guest ends with 0" ${mode}_code 0
    expect_value "$mode: address, gateway and largest packet came by DHCP" ${mode}_lease '10\.7\.0\.2 10\.7\.0\.1 65520'
    expect_value "$mode: 1 MiB pulled is what the server has" ${mode}_pulled "$(value_of sum)"
done
expect_value "passt ends with the machine" left 0
expect_value "passt dies: the guest's link goes down" dies_link 0
expect_line "passt dies: a line says it" "^microvm: note: virtio-net on passt: the host's end is gone .*; so is the guest's link"
expect_value "nobody at the socket" nobody_code 125
expect_line "nobody at the socket: what to do" 'Start it first: passt --one-off --socket'
expect_value "ports that make no sense" ports_code 125
expect_value "no passt" missing_code 125
expect_line "no passt: what to install" '^microvm: error: passt is not installed, passt\. Install it: apt install passt'
