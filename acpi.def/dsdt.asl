// The platform: a hardware-reduced machine. Devices follow as fragments.
table DSDT "MICROV" "MICROVM" 1

// Soft off, ACPI 6.5, 7.4.2.6: both values go to the sleep control register's SLP_TYP.
Name (\_S5, Package () { ${AcpiSleepConst.SoftOffType}, ${AcpiSleepConst.SoftOffType} })
