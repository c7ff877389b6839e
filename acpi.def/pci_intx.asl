// Interrupt routing of PCI bus 0 (ACPI 6.5, 6.2.13): pin A of every device is one line, which all functions share.
fragment

param Gsi : u32 // the line

External (\_SB.PCI0, DeviceObj)
Scope (\_SB.PCI0) {
    Name (_PRT, Package () {
        Package () { 0x0001FFFF, 0, 0, ${Gsi} },
        Package () { 0x0002FFFF, 0, 0, ${Gsi} },
        Package () { 0x0003FFFF, 0, 0, ${Gsi} },
        Package () { 0x0004FFFF, 0, 0, ${Gsi} },
        Package () { 0x0005FFFF, 0, 0, ${Gsi} },
        Package () { 0x0006FFFF, 0, 0, ${Gsi} },
        Package () { 0x0007FFFF, 0, 0, ${Gsi} },
        Package () { 0x0008FFFF, 0, 0, ${Gsi} },
        Package () { 0x0009FFFF, 0, 0, ${Gsi} },
        Package () { 0x000AFFFF, 0, 0, ${Gsi} },
        Package () { 0x000BFFFF, 0, 0, ${Gsi} },
        Package () { 0x000CFFFF, 0, 0, ${Gsi} },
        Package () { 0x000DFFFF, 0, 0, ${Gsi} },
        Package () { 0x000EFFFF, 0, 0, ${Gsi} },
        Package () { 0x000FFFFF, 0, 0, ${Gsi} },
        Package () { 0x0010FFFF, 0, 0, ${Gsi} },
        Package () { 0x0011FFFF, 0, 0, ${Gsi} },
        Package () { 0x0012FFFF, 0, 0, ${Gsi} },
        Package () { 0x0013FFFF, 0, 0, ${Gsi} },
        Package () { 0x0014FFFF, 0, 0, ${Gsi} },
        Package () { 0x0015FFFF, 0, 0, ${Gsi} },
        Package () { 0x0016FFFF, 0, 0, ${Gsi} },
        Package () { 0x0017FFFF, 0, 0, ${Gsi} },
        Package () { 0x0018FFFF, 0, 0, ${Gsi} },
        Package () { 0x0019FFFF, 0, 0, ${Gsi} },
        Package () { 0x001AFFFF, 0, 0, ${Gsi} },
        Package () { 0x001BFFFF, 0, 0, ${Gsi} },
        Package () { 0x001CFFFF, 0, 0, ${Gsi} },
        Package () { 0x001DFFFF, 0, 0, ${Gsi} },
        Package () { 0x001EFFFF, 0, 0, ${Gsi} },
        Package () { 0x001FFFFF, 0, 0, ${Gsi} }
    })
}
