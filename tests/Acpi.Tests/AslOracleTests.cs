namespace Acpi.Tests;

/// <summary>Every definition, operator and descriptor gives the bytes that iasl gives.</summary>
public sealed class AslOracleTests
{
    public static TheoryData<string> Files => [.. Definitions.Files(".asl")];

    [OracleTheory]
    [MemberData(nameof(Files))]
    public void DefinitionCompilesAsByIasl(string file)
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, Definitions.Text(file));
    }

    public static TheoryData<string> Operators =>
    [
        .. ((string[])[
            "Local0 = 1", "Store (1, Local0)", "Local0 = Zero", "Local0 = One", "Local0 = Ones", "Local0 = 0x100", "Local0 = 0x10000", "Local0 = 0x100000000",
            "Local0 = 255", "Local0 = 65535", "Local0 = 0xFFFFFFFF", "Local0 = \"text\"", "Local0 = Arg0 Local1 = Arg1",
            "Local0 = Arg0 + Arg1", "Local0 = Arg0 - Arg1", "Local0 = Arg0 * Arg1", "Local0 = Arg0 / Arg1", "Local0 = Arg0 % Arg1",
            "Local0 = Arg0 << Arg1", "Local0 = Arg0 >> Arg1", "Local0 = Arg0 & Arg1", "Local0 = Arg0 | Arg1", "Local0 = Arg0 ^ Arg1", "Local0 = ~Arg0", "Local0 = !Arg0",
            "Local0 = Arg0 && Arg1", "Local0 = Arg0 || Arg1", "Local0 = Arg0 == Arg1", "Local0 = Arg0 != Arg1", "Local0 = Arg0 < Arg1", "Local0 = Arg0 > Arg1",
            "Local0 = Arg0 <= Arg1", "Local0 = Arg0 >= Arg1",
            "Local0 = Arg0 + Arg1 * 2 - 3", "Local0 = (Arg0 + Arg1) * 2", "Local0 = Arg0 | Arg1 & 3 ^ 1", "Local0 = Arg0 << 1 + 2", "Local0 = !(Arg0 == 1) && ~Arg1 != 2 || 3 < Arg0",
            "Local0 = Arg0 - Arg1 - 1", "Local0 = Arg0 / 2 % 3", "Local0 = Arg0 == 1 & Arg1",
            "Local0 = 1 Local0 += Arg0", "Local0 = 1 Local0 -= Arg0", "Local0 = 1 Local0 *= Arg0", "Local0 = 1 Local0 /= Arg0", "Local0 = 1 Local0 %= Arg0", "Local0 = 1 Local0 &= Arg0",
            "Local0 = 1 Local0 |= Arg0", "Local0 = 1 Local0 ^= Arg0", "Local0 = 1 Local0 <<= Arg0", "Local0 = 1 Local0 >>= Arg0", "Local0 = 1 Local0++", "Local0 = 1 Local0--",
            "Add (Arg0, 1, Local0)", "Subtract (Arg0, 1, Local0)", "Multiply (Arg0, 2, Local0)", "Divide (Arg0, 2, Local0, Local1)", "Divide (Arg0, 2, , Local1)", "Mod (Arg0, 2, Local0)",
            "And (Arg0, 2, Local0)", "Or (Arg0, 2, Local0)", "XOr (Arg0, 2, Local0)", "NAnd (Arg0, 2, Local0)", "NOr (Arg0, 2, Local0)", "Not (Arg0, Local0)",
            "ShiftLeft (Arg0, 2, Local0)", "ShiftRight (Arg0, 2, Local0)", "FindSetLeftBit (Arg0, Local0)", "FindSetRightBit (Arg0, Local0)",
            "Local0 = 1 Increment (Local0)", "Local0 = 1 Decrement (Local0)", "Concatenate (Arg0, Arg1, Local0)", "Local0 = Concatenate (\"a\", Arg1)",
            "ConcatenateResTemplate (Arg0, Arg1, Local0)", "Local0 = SizeOf (Arg0)", "Local0 = Add (Arg0, 1)", "Local0 = NAnd (Arg0, 1)", "Local0 = NOr (Arg0, 1)", "Local0 = FindSetLeftBit (Arg0)", "Local0 = Divide (Arg0, 2)",
            "Local0 = Not (Arg0)", "Local0 = Add (Arg0, 1, Local1)", "PKG0 [0] = Arg0 + 1", "Store (Arg0 + 1, Local0)", "Store (Index (PKG0, 1), Local0)", "Local0 = Divide (Arg0, 2, Local1)", "Local0 = ObjectType (Arg0)", "Local0 = DerefOf (Arg0)", "Local0 = RefOf (INT0)", "Local0 = CondRefOf (INT0, Local1)",
            "Local0 = Index (PKG0, 1)", "Local0 = PKG0 [1]", "Index (PKG0, 1, Local0)", "Local0 = DerefOf (PKG0 [Arg0])", "PKG0 [1] = 5", "BUF0 [Arg0] = 5", "Store (5, Index (BUF0, 1))",
            "Local0 = DerefOf (DerefOf (PKG0 [2]) [0])",
            "ToInteger (Arg0, Local0)", "ToBuffer (Arg0, Local0)", "ToHexString (Arg0, Local0)", "ToDecimalString (Arg0, Local0)", "ToString (Arg0, 4, Local0)", "ToString (Arg0, , Local0)",
            "Local0 = ToString (Arg0, Ones)", "Local0 = ToInteger (Arg0)", "FromBCD (Arg0, Local0)", "ToBCD (Arg0, Local0)", "Mid (Arg0, 1, 2, Local0)", "Local0 = Mid (Arg0, 1, 2)", "CopyObject (Arg0, Local0)",
            "Local0 = LAnd (Arg0, Arg1)", "Local0 = LOr (Arg0, 1)", "Local0 = LNot (Arg0)", "Local0 = LEqual (Arg0, 1)", "Local0 = LGreater (Arg0, 1)", "Local0 = LLess (Arg0, 1)",
            "Local0 = LNotEqual (Arg0, 1)", "Local0 = LLessEqual (Arg0, 1)", "Local0 = LGreaterEqual (Arg0, 1)",
            "If (Arg0) { INT0 = 1 }", "If (Arg0) { INT0 = 1 } Else { INT0 = 2 }", "If (Arg0) { INT0 = 1 } ElseIf (Arg1) { INT0 = 2 }",
            "If (Arg0) { INT0 = 1 } ElseIf (Arg1) { INT0 = 2 } ElseIf (Arg1 == 4) { INT0 = 3 } Else { INT0 = 4 }",
            "While (Arg0 < 3) { INT0++ If (INT0 == 2) { Break } Else { Continue } }", "While (One) { If (Arg0) { Return (Arg1) } INT0 += 1 }",
            "Notify (DEV0, 0x80)", "Notify (\\_SB.DEV0, Arg0)", "Acquire (MTX0, 0xFFFF) Release (MTX0)", "Local0 = Acquire (MTX0, 100)", "If (Acquire (MTX0, 100)) { Return (1) }",
            "Wait (EVT0, 10) Signal (EVT0) Reset (EVT0)", "Sleep (10)", "Stall (10)", "Fatal (1, 0x10000, Arg0)", "NoOp", "BreakPoint", "Debug = Arg0", "Local0 = Timer", "Local0 = Revision",
            "CreateDWordField (BUF0, 0, FLD0) FLD0 = 1", "CreateWordField (BUF0, 1, FLD0) FLD0 = 1", "CreateByteField (BUF0, 0x10, FLD0) FLD0 = 1", "CreateBitField (BUF0, 9, FLD0) FLD0 = 1",
            "CreateQWordField (BUF0, Arg0, FLD0) FLD0 = 1", "CreateField (BUF0, 3, 7, FLD0) FLD0 = 1", "CreateDWordField (Arg0, 4, FLD0) FLD0 = 1",
            "CreateDWordField (RES0, ^MEM0._BAS, FLD0) CreateDWordField (RES0, ^MEM0._LEN, FLD1) FLD0 = 1 FLD1 = 2",
            "CreateQWordField (RES0, ^MEM1._MIN, FLD0) CreateQWordField (RES0, ^MEM1._MAX, FLD1) CreateQWordField (RES0, ^MEM1._LEN, FLD2) FLD0 = 1 FLD1 = 2 FLD2 = 3",
            "CreateDWordField (RES0, ^IRQ0._INT, FLD0) FLD0 = 1", "CreateWordField (RES0, ^IOP0._MIN, FLD0) FLD0 = 1", "CreateByteField (RES0, ^IOP0._LEN, FLD0) FLD0 = 1",
            "MTH0 ()", "MTH2 (Arg0, 1)", "Local0 = MTH2 (MTH2 (1, 2), Arg0 + 1) + 1", "Return (MTH2 (1, 2))", "Return", "Return ()", "Return (Package () { 1, INT0 })",
            "Return (Buffer (Arg0) { 1 })", "Return (Buffer (3) {})", "Return (Buffer () { \"abc\" })", "Return (Package (Arg0) { 1 })", "\\_SB.DEV0.INT1 = 1", "^INT0 = 1", "^^_SB.DEV0.INT1 = 1",
            "Name (LOC0, 5) LOC0 = 6", "Return (\\_SB.DEV0.FLDA)", "Local0 = ToUUID (\"33DB4D5B-1FF7-401C-9657-7441C03DD766\")", "Local0 = EisaId (\"PNP0A08\")",
            "Method (NEST, 1, NotSerialized) { Return (Arg0) } Return (NEST (1))",
        ]),
    ];

    /// <summary>Objects that the operators name.</summary>
    private const string Around = """
        External (\_SB.EXT0, DeviceObj)
        External (\_SB.EXT0.EXTM, MethodObj)
        Scope (\_SB) {
            Name (INT0, 0)
            Name (PKG0, Package () { 1, 2, Package () { 3 } })
            Name (BUF0, Buffer (32) { 1, 2 })
            Mutex (MTX0, 0)
            Event (EVT0)
            Device (DEV0) {
                Name (_HID, "TEST0000")
                Name (INT1, 0)
                OperationRegion (REGA, SystemIO, 0x600, 3)
                Field (REGA, ByteAcc, NoLock, Preserve) { FLDA, 8 }
            }
            Name (RES0, ResourceTemplate () {
                IO (Decode16, 0x600, 0x600, 1, 1, IOP0)
                Memory32Fixed (ReadWrite, 0xFEB00000, 4, MEM0)
                QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0x100000000, 0x10FFFFFFF, 0, 0x10000000, , , MEM1)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, , , IRQ0) { 5 }
            })
            Method (MTH0, 0, NotSerialized) { INT0 = 1 }
            Method (MTH2, 2, Serialized) { Return (Arg0 + Arg1) }
            Method (TEST, 2, Serialized) {
                @
            }
        }
        """;

    [OracleTheory]
    [MemberData(nameof(Operators))]
    public void OperatorCompilesAsByIasl(string terms)
    {
        using var iasl = new Iasl();
        string text = "table SSDT \"MICROV\" \"TEST\" 1\n" + Around.Replace("@", terms, StringComparison.Ordinal);
        AslOracle.Same(iasl, text);
    }

    public static TheoryData<string> Descriptors =>
    [
        .. ((string[])[
            "IO (Decode16, 0x3F8, 0x3F8, 1, 8)", "IO (Decode10, 0x3F8, 0x3F8, 1, 8, TAG0)", "FixedIO (0x3F8, 8)", "IRQ (Edge, ActiveHigh, Exclusive) { 5 }", "IRQ (Level, ActiveLow, Shared) { 3, 15 }",
            "IRQNoFlags () { 4 }", "IRQNoFlags () { 0, 1, 15 }", "DMA (Compatibility, NotBusMaster, Transfer8) { 2 }", "DMA (TypeF, BusMaster, Transfer8_16) { 0, 7 }",
            "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 5 }", "Interrupt (ResourceProducer, Level, ActiveLow, Shared, , , TAG0) { 5, 6, 0x12345678 }",
            "Interrupt (ResourceConsumer, Level, ActiveLow, SharedAndWake, 1, \"_SB.LNKA\") { 5 }", "Interrupt (, Edge, ActiveLow) { 5 }",
            "Memory24 (ReadOnly, 0x100, 0x200, 0x100, 0x10)", "Memory32 (ReadWrite, 0xFEC00000, 0xFEC00100, 0x10, 0x10)", "Memory32Fixed (ReadWrite, 0xFEB00000, 4)", "Memory32Fixed (ReadOnly, 0xFEC00000, 0x1000, TAG0)",
            "Register (FFixedHW, 1, 2, 0x12345)", "Register (SystemIO, 8, 0, 0x600, 1)", "Register (SystemMemory, 32, 0, 0xFEB00000, 3, TAG0)",
            "WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)", "WordBusNumber (, , , , 0, 0, 0x0F, 0, 0x10)",
            "WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0CF7, 0, 0x0CF8)", "WordIO (ResourceConsumer, MinFixed, MaxFixed, SubDecode, ISAOnlyRanges, 0, 0x1000, 0x1FFF, 0, 0x1000, , , TAG0, TypeTranslation, SparseTranslation)",
            "DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, NonISAOnlyRanges, 0, 0x1000, 0x1FFF, 0, 0x1000)", "DWordIO (, MinFixed, MaxFixed, , , 0, 0x1000, 0x1FFF, 0x10000, 0x1000, , , , TypeTranslation, DenseTranslation)",
            "QWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x1000, 0x1FFF, 0, 0x1000, , , , TypeStatic)",
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0xD0000000, 0xD0000FFF, 0, 0x1000)",
            "DWordMemory (ResourceConsumer, SubDecode, MinFixed, MaxFixed, Cacheable, ReadOnly, 0, 0xD0000000, 0xD0000FFF, 0, 0x1000, , , TAG0, AddressRangeReserved, TypeTranslation)",
            "DWordMemory (, , MinFixed, MaxFixed, WriteCombining, , 0, 0xD0000000, 0xD0000FFF, 0, 0x1000, 3, \"PCI0\", , AddressRangeNVS)",
            "QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, ReadWrite, 0, 0x100000000, 0x10FFFFFFF, 0, 0x10000000)",
            "QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0x100000000, 0x10FFFFFFF, 0, 0x10000000, , , MEM0, AddressRangeACPI, TypeStatic)",
            "IO (Decode16, 0x600, 0x600, 1, 3) Memory32Fixed (ReadWrite, 0xFEB00000, 4) IRQNoFlags () { 7 }", "",
        ]),
    ];

    [OracleTheory]
    [MemberData(nameof(Descriptors))]
    public void DescriptorCompilesAsByIasl(string descriptors)
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, $"table SSDT \"MICROV\" \"TEST\" 1\nDevice (\\_SB.DEV0) {{ Name (_HID, \"TEST0000\") Name (_CRS, ResourceTemplate () {{ {descriptors} }}) }}");
    }

    public static TheoryData<string> Declarations =>
    [
        .. ((string[])[
            "Name (\\NUM0, 0)", "Name (\\STR0, \"abc\")", "Name (\\BUF0, Buffer (300) { 1, 2, 3 })", "Name (\\BUF0, Buffer () {})", "Name (\\PKG0, Package (4) { 1, 2 })", "Name (\\PKG0, Package () {})",
            "Name (\\PKG0, Package () { \"a\", Buffer () { 1 }, Package () { Package () { Zero, One, Ones } }, EisaId (\"PNP0C0F\"), ToUUID (\"33DB4D5B-1FF7-401C-9657-7441C03DD766\") })",
            "Device (\\_SB.DEV0) { Name (_ADR, 0x00010000) } Name (\\PKG0, Package () { \\_SB.DEV0, Package () { 0xFFFF, 0, \\_SB.DEV0, 0 } })",
            "Device (\\_SB.DEV0) { Name (_ADR, 0) Device (SUB0) { Name (_ADR, 1) Device (SUB1) { Name (_ADR, 2) } } }", "Scope (\\) { Name (AAAA, 1) }", "Scope (\\_SB) { Name (A, 1) Name (BB, 2) Name (C_C, 3) }",
            "Mutex (\\MTX0, 7)", "Mutex (\\MTX0)", "Event (\\EVT0)", "Name (\\AAAA, 1) Alias (\\AAAA, \\BBBB)", "ThermalZone (\\_TZ.TZ00) { Name (AAAA, 1) }", "PowerResource (\\PWR0, 1, 0x1234) { Method (_STA) { Return (1) } Method (_ON) {} Method (_OFF) {} }",
            "Method (\\MTH0) {}", "Method (\\MTH0, 7, Serialized, 15) { Return (Arg6) }", "Method (\\MTH0, 3) { Return (Arg0 + Arg1 + Arg2) }", "Method (\\MTH0, 0, NotSerialized) { Return (1) }",
            "OperationRegion (\\REG0, SystemMemory, 0xFEB00000, 4)", "OperationRegion (\\REG0, SystemIO, 0x600, 3) Field (\\REG0, ByteAcc, Lock, WriteAsOnes) { AAAA, 1, BBBB, 7, , 4, CCCC, 4, Offset (2), DDDD, 8 }",
            "OperationRegion (\\REG0, PCI_Config, 0, 0x100) Field (\\REG0, AnyAcc, NoLock, Preserve) { Offset (0x40), AAAA, 32, Offset (0x80), BBBB, 16 }",
            "OperationRegion (\\REG0, SystemMemory, 0xFEC00000, 0x1000) Field (\\REG0, DWordAcc, NoLock, WriteAsZeros) { AAAA, 32, Offset (0x800), BBBB, 64 }",
            "OperationRegion (\\REG0, SystemMemory, 0xFEC00000, 0x20) Field (\\REG0, DWordAcc, NoLock, Preserve) { IDX0, 32, DAT0, 32 } IndexField (IDX0, DAT0, DWordAcc, NoLock, Preserve) { AAAA, 32, BBBB, 32 }",
            "OperationRegion (\\REG0, SystemMemory, 0xFEC00000, 0x20) Field (\\REG0, DWordAcc, NoLock, Preserve) { SEL0, 32 } BankField (\\REG0, SEL0, 2, DWordAcc, NoLock, Preserve) { Offset (8), AAAA, 32 }",
            "Processor (\\_SB.CPU0, 1, 0x410, 6) {}", "External (\\_SB.EXT0, DeviceObj) External (\\_SB.EXT0.MTH0, MethodObj) Method (\\MTH1, 0, NotSerialized) { Notify (\\_SB.EXT0, 1) \\_SB.EXT0.MTH0 () }",
            "Name (\\AAAA, 1) If (AAAA == 1) { Name (\\BBBB, 2) } Else { Name (\\CCCC, 3) }",
            "Registers (\\REG0, SystemMemory, 0xFEB00000, AcpiGed) { Selector = ESEL }", "Registers (\\REG0, SystemIO, 0x600, AcpiSleep) { SleepControl = SCTL, Reset = RSET }",
            "Registers (\\REG0, SystemIO, 0x600, AcpiSleep) { SleepControl.SleepType = SLTY, SleepControl.SleepEnable = SLEN }", "Registers (\\REG0, SystemIO, 0x505, PvPanic) { Events = RPEV, Tell = WPEV }",
            "Registers (\\REG0, SystemIO, 0x3F8, Uart16550) { LineControl = LCR, Scratch = SCR }",
        ]),
    ];

    [OracleTheory]
    [MemberData(nameof(Declarations))]
    public void DeclarationCompilesAsByIasl(string terms)
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, "table SSDT \"MICROV\" \"TEST\" 1\n" + terms);
    }

    /// <summary>Bodies around every step of the package length's encoding.</summary>
    [OracleTheory]
    [InlineData(40), InlineData(50), InlineData(51), InlineData(52), InlineData(53), InlineData(54), InlineData(55), InlineData(56), InlineData(57), InlineData(58), InlineData(59), InlineData(60)]
    [InlineData(61), InlineData(62), InlineData(63), InlineData(64), InlineData(250), InlineData(255), InlineData(256), InlineData(4070), InlineData(4080), InlineData(4085), InlineData(4090), InlineData(4095)]
    [InlineData(4096), InlineData(4200)]
    public void PackageLengthsAreThoseOfIasl(int bytes)
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, $"table SSDT \"MICROV\" \"TEST\" 1\nDevice (\\_SB.DEV0) {{ Name (_ADR, 0) Name (BUF0, Buffer () {{ {string.Join(",", Enumerable.Repeat("1", bytes))} }}) }}");
    }

    /// <summary>What PCI, CPU and memory hot-plug will be written in.</summary>
    [OracleFact]
    public void RichTableCompilesAsByIasl()
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, Golden.Input("hotplug.asl"), static (unit, name, bits) => name switch
        {
            "MmioMin" => 0xC1C2_0000, "MmioMax" => 0xC1D2_FFFF, "MmioLen" => 0x0011_0000,
            "Mem64Min" => 0xC1C2_C3C4_0000_0000, "Mem64Max" => 0xC1C3_C3C4_FFFF_FFFF, "Mem64Len" => 0x0001_0001_0000_0000,
            _ => AslOracle.Sentinel(unit, name, bits),
        });
    }

    /// <summary>A slot keeps its width whatever it holds: a fragment with zeros is as long as one with ones.</summary>
    [OracleFact]
    public void SlotsOfEveryWidthStandWhereIaslPutsTheValues()
    {
        using var iasl = new Iasl();
        AslOracle.Same(iasl, """
            fragment
            param A : u8
            param B : u16
            param C, D : u32    // two on a line
            param E : u64
            Device (\_SB.DEV0) {
                Name (_UID, ${A})
                Name (NUMB, ${B})
                Name (PKG0, Package () { ${C}, ${D}, ${E} })
                Name (_CRS, ResourceTemplate () {
                    IO (Decode16, ${B}, ${B}, 1, ${A})
                    Memory32Fixed (ReadWrite, ${C}, ${D})
                    Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { ${C}, 7, ${D} }
                })
                Registers (REGA, SystemMemory, ${E}, AcpiGed) { Selector = ESEL, Selector.CpuScan = CPUS }
                Method (MTH0, 1, NotSerialized) { Return (${A} + Arg0 * ${E}) }
            }
            each One (N : u12, Q : u32) { Device (\_SB.C${N}) { Name (_UID, ${N}) Name (_ADR, ${Q}) } }
            each Two (N : u4) { Device (\_SB.DEV0.X${N}YZ) { Name (_ADR, ${N}) } }
            """);
    }
}
