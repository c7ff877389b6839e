// Devices on virtio-mmio: one for each, named VR00, VR01 ...
each Device (
    Index : u8,     // number, which is in the name and the _UID
    Base : u32,     // guest address of its registers
    Irq : u32)      // GSI of its line
{
    Device (\_SB.VR${Index}) {
        Name (_HID, "LNRO0005")
        Name (_UID, ${Index})
        Name (_CCA, 1)
        Name (_STA, 0x0F)
        Name (_CRS, ResourceTemplate () {
            Memory32Fixed (ReadWrite, ${Base}, 0x1000)
            Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { ${Irq} }
        })
    }
}
