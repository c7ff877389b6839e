table DSDT "MICROV" "TEST" 1
Device (\_SB.DEV0) {
    Method (SCAN, 0, NotSerialized) { Return (1) }
}
Method (\TEST, 0, NotSerialized) {
    Local0 = \_SB.SCAN ()
    Notify (\_SB.DEV1, Local0)
}
