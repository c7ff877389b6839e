fragment
param Base : u64
param Index : u16
Device (\_SB.DV${Index}) {
    Name (_CRS, ResourceTemplate () {
        Memory32Fixed (ReadWrite, ${Base}, 0x1000)
    })
}
