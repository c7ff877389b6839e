fragment
Device (\_SB.DEV0) {
    Name (_CRS, ResourceTemplate () {
        Memory32Fixed (ReadWrite, 0xFE000000, 0x1000)
        IO (Decode16, 0x506, 0x506, 1, 1)
        IO (Decode16, 0x505, 0x505, 1, 1)
    })
}
