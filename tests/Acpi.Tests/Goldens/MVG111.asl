fragment
param Base : u32
Device (\_SB.GED0) {
    Registers (GEDR, SystemMemory, ${Base}, AcpiGed) { Selector = ESEL }
    Method (_EVT, 1, Serialized) {
        If (ESEL & 1) { Notify (\_SB.GED0, 0x80) }
        If (ESEL & 2) { Notify (\_SB.GED0, 0x81) }
    }
}
