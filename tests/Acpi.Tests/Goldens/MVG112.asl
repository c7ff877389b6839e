fragment
param Base ; u32
Device (\_SB.DEV0) {
    Name (_ADR, 0
    Name (_UID, 1)
    Method (TEST) { Return (1 + ) }
    Name (_CRS, ResourceTemplate () { Memory32Fixd (ReadWrite, 0, 1) })
    Name (LAST, 012)
}
