# A stock Debian guest controlled over its socket: asked, its power button pressed, stopped; and a client that misbehaves.
# tier: full
# seconds: 15
# covers: vmm/MicroVm.Cli vmm/MicroVm/Machine
# rows: A1 A2
source "$(dirname "$0")/../case.sh"

lab_run --timeout 300 <<'LAB'
put_script <<"SCRIPT"
ged() { sed -n "s/^ *[0-9]*: *\([0-9]*\) .*ACPI:Ged.*/\1/p" /proc/interrupts; }
echo "@ged $(ged)"; echo running
i=0; while [ $i -lt 600 ] && [ "$(ged)" = 0 ]; do usleep 100000; i=$((i+1)); done
echo "@pressed $(ged)"
[ -b /dev/vda ] && echo "@disk yes"
sleep 1000
SCRIPT
truncate -s 16M /tmp/a.img
microvm run $files --memory 256M --name web --pci-ports 1 --disk path=/tmp/a.img,id=data,port=1 --rng \
    --cmdline "console=ttyS0 quiet microvm.exec=sh /script" >/tmp/console 2>/tmp/errors &
vmm=$!
for i in $(seq 120); do grep -q ^running /tmp/console && break; sleep 0.5; done
echo "@mode $(stat -c %a /run/microvm) $(stat -c %a /run/microvm/web.sock)"
microvm ctl web info | sed "s/^/I:/"
microvm ctl web list | sed "s/^/L:/"
microvm ctl web list --json | sed "s/^/J:/"
microvm ctl web lst 2>&1 | sed "s/^/E:/"
microvm run $files --name web 2>&1 | sed "s/^/T:/"
microvm ctl web power-button; echo "@button $?"
for i in $(seq 120); do grep -q "^@disk" /tmp/console && break; sleep 0.5; done
grep ^@ /tmp/console
microvm ctl web stop; echo "@stop $?"
wait $vmm; echo "@code $?"
sed "s/^/S:/" /tmp/errors
[ -e /run/microvm/web.sock ] || echo "@gone yes"
microvm ctl web list 2>/dev/null; echo "@after $?"
LAB
expect_exit 0 "the lab ends well"
expect_value "folder and socket are their owner's alone" mode '700 600'
expect_line "info says what the machine is" '^I:memoryBytes +268435456'
expect_line "the guest has left for this process by then" '^I:exits +[1-9]'
expect_line "list names the disk and its place behind the port" '^L:data +virtio-block +01:00\.0'
expect_line "and devices that nobody named" '^L:- +virtio-rng +virtio-mmio\[0\]'
expect_line "as JSON too" '^J:\[.*"id":"data","kind":"virtio-block"'
expect_line "a command that is none is refused in one line" '^E:microvm: error: unknown control command, lst\. Did you mean list\?'
expect_line "a name that is taken is refused" '^T:microvm: error: cannot make the control socket, /run/microvm/web\.sock'
expect_value "the power button is pressed" button 0
expect_value "the guest's event device was quiet before" ged 0
expect_value "and hears the button" pressed '[1-9][0-9]*'
expect_value "the guest goes on" disk yes
expect_value "stop is answered" stop 0
expect_value "a stopped machine ends with 125" code 125
expect_line "and says by whom" '^S:microvm: stopped over the control socket$'
expect_value "its socket is gone" gone yes
expect_value "and a client is told so" after 125
