fragment
Device (\_SB.DEV0) {
    Name (_CRS, ResourceTemplate () {
        WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0xFF)
    })
}
