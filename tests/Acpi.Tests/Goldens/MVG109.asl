fragment
Device (\_SB.DEV0) {
    Name (NUMB, 1)
    Method (TWO, 2, NotSerialized) { Return (Arg0 + Arg1) }
    Method (TEST, 0, NotSerialized) {
        Local0 = TWO (1)
        Local0 = TWO
        Local0 = NUMB (1)
        Notify (\_SB.DEV0)
        Return (Local0)
    }
}
