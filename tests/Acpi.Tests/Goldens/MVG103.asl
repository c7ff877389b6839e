fragment
param Base, Unused : u32
Device (\_SB.DEV0) {
    Name (_ADR, ${Base})
    Name (_UID, ${Uid})
    Name (SOFT, ${AcpiSleepConst.SoftOff})
}
