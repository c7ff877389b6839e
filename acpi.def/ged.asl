// Generic Event Device (ACPI 6.5, 5.6.9) and the power button that it presses (4.8.2.2.1.2).
fragment

param GedBase : u32 // guest address of block AcpiGed
param GedIrq : u32  // GSI that announces an event

Device (\_SB.PWRB) {
    Name (_HID, EisaId ("PNP0C0C"))
    Name (_UID, 0)
    Name (_STA, 0x0F)
}
Device (\_SB.GED0) {
    Name (_HID, "ACPI0013")
    Name (_UID, 0)
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate () {
        Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { ${GedIrq} }
    })
    Registers (GEDR, SystemMemory, ${GedBase}, AcpiGed) { Selector = ESEL }
    Method (_EVT, 1, Serialized) {
        Local0 = ESEL                                       // cleared by reading: read once
        If (Local0 & 0x01) { Notify (\_SB.PWRB, 0x80) }     // pressed
    }
}
