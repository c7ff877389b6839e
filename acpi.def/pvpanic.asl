// pvpanic: the guest says that it has crashed (QEMU docs/specs/pvpanic).
fragment

param Port : u16    // port of block PvPanic

Device (\_SB.PEVT) {
    Name (_HID, "QEMU0001")
    Name (_STA, 0x0B)       // present, enabled, working, and not shown to the user
    Name (_CRS, ResourceTemplate () {
        IO (Decode16, ${Port}, ${Port}, 1, 1)
    })
    Registers (PEOR, SystemIO, ${Port}, PvPanic) { Events = RPEV, Tell = WPEV }
    Method (RDPT, 0, NotSerialized) { Return (RPEV) }
    Method (WRPT, 1, NotSerialized) { WPEV = Arg0 }
}
