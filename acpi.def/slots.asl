// PCI slots behind root ports, into and out of which functions go while the guest runs (ACPI 6.5, 6.3).
fragment

External (\_SB.PCI0, DeviceObj)
External (\_SB.GED0, DeviceObj)

each Slot (
    Number : u8,    // of the slot, from 1
    Before : u8,    // the one before it in the list, 0 for none
    Address : u32,  // _ADR of its root port
    Base : u32)     // guest address of its block AcpiUnit
{
    Device (\_SB.PCI0.RP${Number}) {
        Name (_ADR, ${Address})
        Device (SLOT) {
            Name (_ADR, 0)
            Name (_SUN, ${Number})
            Registers (UNIT, SystemMemory, ${Base}, AcpiUnit) {
                Status.State = HERE, Status.CheckWanted = CHEK, Status.EjectWanted = EJRQ, Status.Leaving = LEAV,
                Command.CheckTold = CHTD, Command.EjectTold = EJTD, Command.Eject = EJCT, Source = SRCE, Outcome = OUTC
            }
            Method (_EJ0, 1, Serialized) {
                EJCT = 1
                Local0 = 1000
                While (LEAV && Local0) {        // it is taken out meanwhile
                    Sleep (1)
                    Local0--
                }
            }
            Method (_OST, 3, Serialized) {
                SRCE = Arg0
                OUTC = Arg1
            }
            // What is to be told. Something that is gone by surprise is noticed by a look from above only.
            Method (TELL, 0, Serialized) {
                If (CHEK) {
                    CHTD = 1
                    If (HERE) { Notify (\_SB.PCI0.RP${Number}.SLOT, ${AcpiUnitConst.DeviceCheck}) }
                    Else { Notify (\_SB.PCI0.RP${Number}, ${AcpiUnitConst.BusCheck}) }
                }
                If (EJRQ) {
                    EJTD = 1
                    Notify (\_SB.PCI0.RP${Number}.SLOT, ${AcpiUnitConst.EjectRequest})
                }
            }
        }
    }
    External (\_SB.GED0.SP${Before}, MethodObj)
    Method (\_SB.GED0.SP${Number}, 0, Serialized) {
        \_SB.PCI0.RP${Number}.SLOT.TELL ()
        \_SB.GED0.SP${Before} ()
    }
}
