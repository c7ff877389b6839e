fragment
Device (\_SB.DEV0) {
    Name (WRNG, Local3)
    Method (TEST, 1, NotSerialized) {
        If (Arg0) { Local0 = 1 } ElseIf (Arg1) { Local1 = 1 }
        Local2 = Local0 + 1
        If (Arg0) { Local4 = 1 } Else { Return (0) }
        Return (Local2 + Local4)
    }
}
