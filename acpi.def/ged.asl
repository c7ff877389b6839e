// Generic Event Device (ACPI 6.5, 5.6.9) and the power button that it presses (4.8.2.2.1.2).
fragment

param GedBase : u32 // guest address of block AcpiGed
param GedIrq : u32  // GSI that announces an event
param CpuHead : u8  // last of the units that are CPUs, 0 for none
param MemoryHead : u8 // last of the units that are memory devices, 0 for none
param SlotHead : u8 // last of the units that are PCI slots, 0 for none

External (\_SB.GED0.SC${CpuHead}, MethodObj)
External (\_SB.GED0.SM${MemoryHead}, MethodObj)
External (\_SB.GED0.SP${SlotHead}, MethodObj)

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
        // Each unit tells what there is to tell of it, and then calls the one before it (docs/hotplug.md).
        If (Local0 & 0x02) { \_SB.GED0.SC${CpuHead} () }
        If (Local0 & 0x04) { \_SB.GED0.SM${MemoryHead} () }
        If (Local0 & 0x08) { \_SB.GED0.SP${SlotHead} () }
    }
    // There is no unit 0: the ends of the three lists.
    Method (SC00, 0, NotSerialized) { }
    Method (SM00, 0, NotSerialized) { }
    Method (SP00, 0, NotSerialized) { }
}
