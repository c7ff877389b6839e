table DSDT "MICROV" "TEST" 1
Device (\_SB.DEV00) {
    Name (_HID, EisaId ("PNP0A8"))
    Name (UUI0, ToUUID ("33DB4D5B"))
    Name (5, 1)
}
Name (Lock, 1)
