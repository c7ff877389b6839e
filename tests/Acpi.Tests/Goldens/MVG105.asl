fragment
param Base : u32
Device (\_SB.DEV0) {
    Name (_ADR, ${Base})
    Registers (REGA, SystemMemory, ${Base}, AcpiGad) { Selector = ESEL }
    Registers (REGB, SystemMemory, ${Base}, AcpiGed) { Selectr = ESEL }
}
