// A table as rich as PCI, CPU and memory hot-plug need: held against iasl, not used by the machine.
table SSDT "MICROV" "HOTPLUG" 1
param MmioMin, MmioMax, MmioLen : u32
param Mem64Min, Mem64Max, Mem64Len : u64
param GedBase, GedIrq : u32

Device (\_SB.PCI0) {
    Name (_HID, EisaId ("PNP0A08"))   Name (_CID, EisaId ("PNP0A03"))
    Name (_SEG, 0)                    Name (_UID, 0)
    Name (SUPP, 0)                    Name (CTRL, 0)
    Name (_CRS, ResourceTemplate () {
        WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
        DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                     0, ${MmioMin}, ${MmioMax}, 0, ${MmioLen})
        QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, ReadWrite,
                     0, ${Mem64Min}, ${Mem64Max}, 0, ${Mem64Len})
    })
    Name (_PRT, Package () {
        Package () { 0x0000FFFF, 0, 0, 16 },
        Package () { 0x0001FFFF, 1, 0, 17 },
        Package () { 0x0002FFFF, 2, LNKA, 0 },
    })
    Device (LNKA) {
        Name (_HID, EisaId ("PNP0C0F"))
        Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 16, 17, 18, 19 } })
    }
    Method (_OSC, 4, NotSerialized) {
        CreateDWordField (Arg3, 0, CDW1)
        If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")) {
            CreateDWordField (Arg3, 4, CDW2)
            CreateDWordField (Arg3, 8, CDW3)
            SUPP = CDW2
            CTRL = CDW3 & 0x1F
            If (Arg1 != One) { CDW1 |= 0x08 }
            If (CDW3 != CTRL) { CDW1 |= 0x10 }
            CDW3 = CTRL
        } Else {
            CDW1 |= 4
        }
        Return (Arg3)
    }
}
Device (\_SB.CPUS) {
    Name (_HID, "ACPI0010")
    Name (_CID, EisaId ("PNP0A05"))
    Mutex (CLCK, 0)
    OperationRegion (PRST, SystemIO, 0x600, 0x03)
    Field (PRST, ByteAcc, NoLock, WriteAsZeros) { Offset (1), CPEN, 1, CINS, 1, CRMV, 1, CEJ0, 1, , 4, CCMD, 8 }
    Field (PRST, ByteAcc, NoLock, Preserve) { CSEL, 8 }
    Method (CSTA, 1, Serialized) {
        Acquire (CLCK, 0xFFFF)
        CSEL = Arg0
        Local0 = Zero
        If (CPEN == One) { Local0 = 0x0F }
        Release (CLCK)
        Return (Local0)
    }
    Method (CEJC, 1, Serialized) {
        Acquire (CLCK, 0xFFFF)
        CSEL = Arg0
        CEJ0 = One
        Release (CLCK)
    }
    Method (COST, 4, Serialized) {
        Acquire (CLCK, 0xFFFF)
        CSEL = Arg0
        CCMD = 1
        Debug = Concatenate ("ost ", ToHexString (Arg1 + (Arg2 << 8)))
        Release (CLCK)
    }
    Method (CSCN, 0, Serialized) {
        Local0 = 0
        Local1 = Package (4) { 0, 0, 0, 0 }
        While (Local0 < SizeOf (Local1)) {
            CSEL = Local0
            If (CINS == 1) {
                Local1 [Local0] = 1
                CINS = 1
            } ElseIf (CRMV == 1 && !(DerefOf (Local1 [Local0]) == 3)) {
                Notify (\_SB.CPUS, 3)
                CRMV = 1
            } Else {
                Local0++
                Continue
            }
            Local0 += 1
        }
    }
}
Device (\_SB.MEMD) {
    Name (_HID, EisaId ("PNP0C80"))
    Name (_UID, 0)
    Method (_CRS, 0, Serialized) {
        Name (MR64, ResourceTemplate () {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0, 0xFFFFFFFE, 0, 0xFFFFFFFF, , , MEM0, AddressRangeMemory, TypeStatic)
        })
        CreateQWordField (MR64, MEM0._MIN, MINF)
        CreateQWordField (MR64, MEM0._MAX, MAXF)
        CreateQWordField (MR64, MEM0._LEN, LENF)
        MINF = ${Mem64Min}
        LENF = ${Mem64Len}
        MAXF = MINF + LENF - 1
        Return (MR64)
    }
}
Device (\_SB.GED0) {
    Name (_HID, "ACPI0013")           Name (_UID, 0)
    Name (_CRS, ResourceTemplate () { Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { ${GedIrq} } })
    Registers (GEDR, SystemMemory, ${GedBase}, AcpiGed) { Selector = ESEL }
    Method (_EVT, 1, Serialized) {
        Local0 = ESEL
        If (Local0 & 2) { \_SB.CPUS.CSCN () }
        If (Local0 & 8) { Notify (\_SB.PCI0, 0) }
    }
}
each Cpu (Id : u12, ApicId : u32) {
    Device (\_SB.CPUS.C${Id}) {
        Name (_HID, "ACPI0007")
        Name (_UID, ${ApicId})
        Method (_STA, 0, Serialized) { Return (\_SB.CPUS.CSTA (${ApicId})) }
        Method (_MAT, 0, Serialized) { Return (Buffer () { 0, 8, 1, 1, 1, 0, 0, 0 }) }
        Method (_EJ0, 1, NotSerialized) { \_SB.CPUS.CEJC (${ApicId}) }
        Method (_OST, 3, Serialized) { \_SB.CPUS.COST (${ApicId}, Arg0, Arg1, Arg2) }
    }
}
