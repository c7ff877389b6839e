// The serial console: a 16550A, Plug and Play id PNP0501.
fragment

param Port : u16    // first of the eight ports
param Irq : u32     // GSI of its line

Device (\_SB.COM1) {
    Name (_HID, EisaId ("PNP0501"))
    Name (_UID, 1)
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate () {
        IO (Decode16, ${Port}, ${Port}, 1, 8)
        Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { ${Irq} }
    })
}
