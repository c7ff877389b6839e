fragment
param A, A : u32
Device (\_SB.DEV0) {
    Name (_ADR, ${A})
    Name (_ADR, 1)
}
