// Memory devices that come and go while the guest runs (ACPI 6.5, chapter 9, Memory Devices; 6.3). All that there may be are listed; _STA says which there are.
fragment

External (\_SB.GED0, DeviceObj)

each Dimm (
    Index : u8,     // which is the _UID too
    Number : u8,    // in the list of units, from 1
    Before : u8,    // the one before it in the list, 0 for none
    Base : u32,     // guest address of its block AcpiUnit
    Range : u32)    // guest address of its block AcpiMemory
{
    Device (\_SB.MD${Index}) {
        Name (_HID, EisaId ("PNP0C80"))
        Name (_UID, ${Index})
        Name (_PXM, 0)
        Registers (UNIT, SystemMemory, ${Base}, AcpiUnit) {
            Status.State = HERE, Status.CheckWanted = CHEK, Status.EjectWanted = EJRQ, Status.Leaving = LEAV,
            Command.CheckTold = CHTD, Command.EjectTold = EJTD, Command.Eject = EJCT, Source = SRCE, Outcome = OUTC
        }
        Registers (RANG, SystemMemory, ${Range}, AcpiMemory) { Start = STRT, Length = LENG }
        Method (_STA, 0, NotSerialized) { Return (HERE) }
        Name (CURR, ResourceTemplate () {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0, 0xFFFFFFFFFFFFFFFE, 0, 0xFFFFFFFFFFFFFFFF, , , MEM0, AddressRangeMemory, TypeStatic)
        })
        Method (_CRS, 0, Serialized) {
            CreateQWordField (CURR, ^MEM0._MIN, MINF)
            CreateQWordField (CURR, ^MEM0._MAX, MAXF)
            CreateQWordField (CURR, ^MEM0._LEN, LENF)
            MINF = STRT
            LENF = LENG
            MAXF = MINF + LENF - 1
            Return (CURR)
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
        Method (TELL, 0, Serialized) {
            If (CHEK) {
                CHTD = 1
                Notify (\_SB.MD${Index}, ${AcpiUnitConst.DeviceCheck})
            }
            If (EJRQ) {
                EJTD = 1
                Notify (\_SB.MD${Index}, ${AcpiUnitConst.EjectRequest})
            }
        }
    }
    External (\_SB.GED0.SM${Before}, MethodObj)
    Method (\_SB.GED0.SM${Number}, 0, Serialized) {
        \_SB.MD${Index}.TELL ()
        \_SB.GED0.SM${Before} ()
    }
}
