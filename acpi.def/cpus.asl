// CPUs that come and go while the guest runs (ACPI 6.5, 8.4 and 6.3). All that there may be are listed; _STA says which there are.
fragment

External (\_SB.GED0, DeviceObj)

Device (\_SB.CPUS) {
    Name (_HID, "ACPI0010")         // processor container, 8.4.2
    Name (_UID, 0)
}
each Cpu (
    Uid : u8,       // _UID, which is the APIC id too
    Number : u8,    // in the list of units, from 1
    Before : u8,    // the one before it in the list, 0 for none
    Base : u32)     // guest address of its block AcpiUnit
{
    Device (\_SB.CPUS.C0${Uid}) {
        Name (_HID, "ACPI0007")     // processor, 8.4
        Name (_UID, ${Uid})
        Name (_MAT, Buffer () { 0x00, 0x08, ${Uid}, ${Uid}, 0x01, 0x00, 0x00, 0x00 }) // local APIC, enabled: 5.2.12.2
        Registers (UNIT, SystemMemory, ${Base}, AcpiUnit) {
            Status.State = HERE, Status.CheckWanted = CHEK, Status.EjectWanted = EJRQ, Status.Leaving = LEAV,
            Command.CheckTold = CHTD, Command.EjectTold = EJTD, Command.Eject = EJCT, Source = SRCE, Outcome = OUTC
        }
        Method (_STA, 0, NotSerialized) { Return (HERE) }
        Method (_EJ0, 1, Serialized) {
            EJCT = 1
            Local0 = 1000
            While (LEAV && Local0) {        // it is stopped meanwhile
                Sleep (1)
                Local0--
            }
        }
        Method (_OST, 3, Serialized) {
            SRCE = Arg0
            OUTC = Arg1
        }
        Method (TELL, 0, Serialized) {
            If (CHEK) {
                CHTD = 1
                Notify (\_SB.CPUS.C0${Uid}, ${AcpiUnitConst.DeviceCheck})
            }
            If (EJRQ) {
                EJTD = 1
                Notify (\_SB.CPUS.C0${Uid}, ${AcpiUnitConst.EjectRequest})
            }
        }
    }
    External (\_SB.GED0.SC${Before}, MethodObj)
    Method (\_SB.GED0.SC${Number}, 0, Serialized) {
        \_SB.CPUS.C0${Uid}.TELL ()
        \_SB.GED0.SC${Before} ()
    }
}
