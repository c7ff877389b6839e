namespace MicroVm.Generators.Acpi;

/// <summary>What stands in the braces behind an operator.</summary>
internal enum BodyKind : byte { None, Terms, List, Resources, Fields }

/// <summary>One keyword of the subset.</summary>
/// <param name="Opcode">AML bytes, empty where the encoder has a method of its own.</param>
/// <param name="Args">One letter per argument:
/// <c>t</c> term, <c>o</c> term that may be left out (Zero), <c>T</c> target that may be left out, <c>s</c> object to change or name,
/// <c>n</c> declared name, <c>b w d</c> number of 1, 2, 4 bytes without prefix, <c>?</c> whatever the encoder makes of it, <c>*</c> the same and optional.</param>
/// <param name="Body">What the braces hold.</param>
/// <param name="HasValue">Can stand inside an expression.</param>
internal sealed record AslOperator(byte[] Opcode, string Args, BodyKind Body, bool HasValue)
{
    public int Required { get; } = Args.Count(static a => a is not ('T' or 'o' or '*'));

    public bool Takes(int count) => count <= Args.Length && count >= Required;

    public string Arity => Required == Args.Length ? $"{Required}" : $"{Required} to {Args.Length}";
}

/// <summary>The keywords, as the specification's table of ASL operators (ACPI 6.5, 19.6) and of AML encodings (20.2) has them.</summary>
internal static class AslOperators
{
    private static readonly Dictionary<string, AslOperator> Table = new(StringComparer.Ordinal);

    static AslOperators()
    {
        Values();
        Statements();
        Declarations();
        Resources();
    }

    public static IEnumerable<string> Names => Table.Keys;

    public static AslOperator? Find(string name) => Table.TryGetValue(name, out AslOperator? found) ? found : null;

    private static void Value(string name, int opcode, string args) => Table[name] = new AslOperator(Bytes(opcode), args, BodyKind.None, true);

    private static void Plain(string name, int opcode, string args, BodyKind body = BodyKind.None) =>
        Table[name] = new AslOperator(Bytes(opcode), args, body, false);

    private static void Own(string name, string args, BodyKind body = BodyKind.None, bool value = false) => Table[name] = new AslOperator([], args, body, value);

    private static byte[] Bytes(int opcode) => opcode > 0xFF ? [(byte)(opcode >> 8), (byte)opcode] : [(byte)opcode];

    private static void Values()
    {
        Value("Zero", 0x00, ""); Value("One", 0x01, ""); Value("Ones", 0xFF, ""); Value("Revision", 0x5B30, ""); Value("Timer", 0x5B33, ""); Value("Debug", 0x5B31, "");
        for (int i = 0; i < 8; i++) Value($"Local{i}", 0x60 + i, "");
        for (int i = 0; i < 7; i++) Value($"Arg{i}", 0x68 + i, "");
        Value("Add", 0x72, "ttT"); Value("Concatenate", 0x73, "ttT"); Value("Subtract", 0x74, "ttT"); Value("Multiply", 0x77, "ttT"); Value("Divide", 0x78, "ttTT");
        Value("ShiftLeft", 0x79, "ttT"); Value("ShiftRight", 0x7A, "ttT"); Value("And", 0x7B, "ttT"); Value("NAnd", 0x7C, "ttT"); Value("Or", 0x7D, "ttT");
        Value("NOr", 0x7E, "ttT"); Value("XOr", 0x7F, "ttT"); Value("Not", 0x80, "tT"); Value("FindSetLeftBit", 0x81, "tT"); Value("FindSetRightBit", 0x82, "tT");
        Value("DerefOf", 0x83, "t"); Value("ConcatenateResTemplate", 0x84, "ttT"); Value("Mod", 0x85, "ttT"); Value("SizeOf", 0x87, "s"); Value("Index", 0x88, "ttT");
        Value("ObjectType", 0x8E, "s"); Value("LAnd", 0x90, "tt"); Value("LOr", 0x91, "tt"); Value("LNot", 0x92, "t"); Value("LEqual", 0x93, "tt");
        Value("LGreater", 0x94, "tt"); Value("LLess", 0x95, "tt"); Value("LNotEqual", 0x9293, "tt"); Value("LLessEqual", 0x9294, "tt"); Value("LGreaterEqual", 0x9295, "tt");
        Value("ToBuffer", 0x96, "tT"); Value("ToDecimalString", 0x97, "tT"); Value("ToHexString", 0x98, "tT"); Value("ToInteger", 0x99, "tT");
        Value("Mid", 0x9E, "tttT"); Value("RefOf", 0x71, "s"); Value("CondRefOf", 0x5B12, "sT"); Value("FromBCD", 0x5B28, "tT"); Value("ToBCD", 0x5B29, "tT");
        Value("Acquire", 0x5B23, "sw"); Value("Wait", 0x5B25, "st"); Value("Store", 0x70, "ts"); Value("CopyObject", 0x9D, "ts");
        Value("Increment", 0x75, "s"); Value("Decrement", 0x76, "s");
        Own("ToString", "t*T", value: true); Own("EisaId", "?", value: true); Own("ToUUID", "?", value: true);
        Own("Package", "*", BodyKind.List, value: true); Own("Buffer", "*", BodyKind.List, value: true); Own("ResourceTemplate", "", BodyKind.Resources, value: true);
    }

    private static void Statements()
    {
        Plain("If", 0xA0, "t", BodyKind.Terms); Plain("Else", 0xA1, "", BodyKind.Terms); Own("ElseIf", "t", BodyKind.Terms); Plain("While", 0xA2, "t", BodyKind.Terms);
        Plain("NoOp", 0xA3, ""); Plain("Return", 0xA4, "o"); Plain("Break", 0xA5, ""); Plain("Continue", 0x9F, ""); Plain("BreakPoint", 0xCC, "");
        Plain("Notify", 0x86, "st"); Plain("Release", 0x5B27, "s"); Plain("Signal", 0x5B24, "s"); Plain("Reset", 0x5B26, "s");
        Plain("Sleep", 0x5B22, "t"); Plain("Stall", 0x5B21, "t"); Plain("Fatal", 0x5B32, "bdt");
        Plain("CreateDWordField", 0x8A, "ttn"); Plain("CreateWordField", 0x8B, "ttn"); Plain("CreateByteField", 0x8C, "ttn"); Plain("CreateBitField", 0x8D, "ttn");
        Plain("CreateQWordField", 0x8F, "ttn"); Plain("CreateField", 0x5B13, "tttn");
    }

    private static void Declarations()
    {
        Plain("Scope", 0x10, "s", BodyKind.Terms); Plain("Device", 0x5B82, "n", BodyKind.Terms); Plain("ThermalZone", 0x5B85, "n", BodyKind.Terms);
        Plain("PowerResource", 0x5B84, "nbw", BodyKind.Terms); Plain("Processor", 0x5B83, "nbdb", BodyKind.Terms);
        Plain("Name", 0x08, "nt"); Plain("Alias", 0x06, "sn"); Plain("Event", 0x5B02, "n");
        Own("Mutex", "n*"); Own("Method", "n*****", BodyKind.Terms); Own("External", "n*****");
        Own("OperationRegion", "n???"); Own("Field", "????", BodyKind.Fields); Own("IndexField", "?????", BodyKind.Fields); Own("BankField", "??????", BodyKind.Fields);
        Own("Registers", "n???", BodyKind.Fields);
    }

    private static void Resources()
    {
        Own("IO", "?????*"); Own("FixedIO", "??*"); Own("IRQ", "???*", BodyKind.List); Own("IRQNoFlags", "*", BodyKind.List); Own("DMA", "???*", BodyKind.List);
        Own("Interrupt", "*??****", BodyKind.List); Own("Memory24", "?????*"); Own("Memory32", "?????*"); Own("Memory32Fixed", "???*"); Own("Register", "????**");
        foreach (string width in (string[])["Word", "DWord", "QWord"])
        {
            Own(width + "IO", "*****?????*****"); Own(width + "BusNumber", "****?????***"); Own(width + "Memory", "******?????*****");
        }
    }
}
