fragment
Device (DEV0) { Name (_ADR, 0) }
If (One) { }
each One (Uid : u32) {
    Device (\_SB.DEV1) { Name (_UID, ${Uid}) }
}
