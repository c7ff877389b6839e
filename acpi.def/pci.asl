// PCI Express: the host bridge (ACPI 6.5, 6.2; PCI Firmware 3.3, 4) and the reservation of its configuration space.
fragment

param EcamBase : u32    // guest address of configuration space, bus 0
param EcamLength : u32  // bytes of it
param BusLast : u16     // last bus
param BusLength : u16   // buses
param LowStart : u32    // memory window below 4 GiB
param LowLast : u32     // its last byte
param LowLength : u32   // its length
param HighStart : u64   // memory window above RAM
param HighLast : u64    // its last byte
param HighLength : u64  // its length

Device (\_SB.PCI0) {
    Name (_HID, EisaId ("PNP0A08"))
    Name (_CID, EisaId ("PNP0A03"))
    Name (_UID, 0)
    Name (_SEG, 0)
    Name (_BBN, 0)
    Name (_CCA, 1)
    Name (_CBA, ${EcamBase})
    Name (_CRS, ResourceTemplate () {
        WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, ${BusLast}, 0, ${BusLength})
        DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, ${LowStart}, ${LowLast}, 0, ${LowLength})
        QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, ${HighStart}, ${HighLast}, 0, ${HighLength})
    })
    // PCI Firmware 3.3, 4.5.1. The guest gets the PCI Express capability structures; hot-plug, power events and error reports stay here.
    Method (_OSC, 4, NotSerialized) {
        CreateDWordField (Arg3, 0, CDW1)
        If (Arg0 != ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) {
            CDW1 |= 0x04                    // not known
            Return (Arg3)
        }
        CreateDWordField (Arg3, 8, CDW3)
        Local0 = CDW3
        If (Arg1 != 1) { CDW1 |= 0x08 }     // revision not known
        CDW3 = Local0 & 0x10
        If (CDW3 != Local0) { CDW1 |= 0x10 } // something was refused
        Return (Arg3)
    }
}
Device (\_SB.ECAM) {
    Name (_HID, EisaId ("PNP0C02"))
    Name (_UID, 1)
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate () {
        Memory32Fixed (ReadWrite, ${EcamBase}, ${EcamLength})
    })
}
