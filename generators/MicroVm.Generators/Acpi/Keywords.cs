namespace MicroVm.Generators.Acpi;

/// <summary>Closed words of arguments and their encodings (ACPI 6.5, 19.6, 20.2.5 and 6.4).</summary>
internal static class Keywords
{
    public static readonly Dictionary<string, int> Serialize = Words(("NotSerialized", 0), ("Serialized", 1));
    public static readonly Dictionary<string, int> Space = Words(("SystemMemory", 0), ("SystemIO", 1), ("PCI_Config", 2), ("EmbeddedControl", 3), ("SMBus", 4),
        ("SystemCMOS", 5), ("PciBarTarget", 6), ("IPMI", 7), ("GeneralPurposeIo", 8), ("GenericSerialBus", 9), ("PCC", 10), ("FFixedHW", 0x7F));
    public static readonly Dictionary<string, int> FieldAccess = Words(("AnyAcc", 0), ("ByteAcc", 1), ("WordAcc", 2), ("DWordAcc", 3), ("QWordAcc", 4), ("BufferAcc", 5));
    public static readonly Dictionary<string, int> FieldLock = Words(("NoLock", 0), ("Lock", 1));
    public static readonly Dictionary<string, int> FieldUpdate = Words(("Preserve", 0), ("WriteAsOnes", 1), ("WriteAsZeros", 2));
    public static readonly Dictionary<string, int> Usage = Words(("ResourceProducer", 0), ("ResourceConsumer", 1));
    public static readonly Dictionary<string, int> Decode = Words(("PosDecode", 0), ("SubDecode", 1));
    public static readonly Dictionary<string, int> Min = Words(("MinNotFixed", 0), ("MinFixed", 1));
    public static readonly Dictionary<string, int> Max = Words(("MaxNotFixed", 0), ("MaxFixed", 1));
    public static readonly Dictionary<string, int> Cache = Words(("NonCacheable", 0), ("Cacheable", 1), ("WriteCombining", 2), ("Prefetchable", 3));
    public static readonly Dictionary<string, int> ReadWrite = Words(("ReadOnly", 0), ("ReadWrite", 1));
    public static readonly Dictionary<string, int> MemoryType = Words(("AddressRangeMemory", 0), ("AddressRangeReserved", 1), ("AddressRangeACPI", 2), ("AddressRangeNVS", 3));
    public static readonly Dictionary<string, int> Translation = Words(("TypeStatic", 0), ("TypeTranslation", 1));
    public static readonly Dictionary<string, int> Ranges = Words(("NonISAOnlyRanges", 1), ("ISAOnlyRanges", 2), ("EntireRange", 3));
    public static readonly Dictionary<string, int> Density = Words(("DenseTranslation", 0), ("SparseTranslation", 1));
    public static readonly Dictionary<string, int> IoDecode = Words(("Decode10", 0), ("Decode16", 1));
    public static readonly Dictionary<string, int> Trigger = Words(("Level", 0), ("Edge", 1));
    public static readonly Dictionary<string, int> Polarity = Words(("ActiveHigh", 0), ("ActiveLow", 1));
    public static readonly Dictionary<string, int> Share = Words(("Exclusive", 0), ("Shared", 1), ("ExclusiveAndWake", 2), ("SharedAndWake", 3));
    public static readonly Dictionary<string, int> DmaType = Words(("Compatibility", 0), ("TypeA", 1), ("TypeB", 2), ("TypeF", 3));
    public static readonly Dictionary<string, int> BusMaster = Words(("NotBusMaster", 0), ("BusMaster", 1));
    public static readonly Dictionary<string, int> Transfer = Words(("Transfer8", 0), ("Transfer8_16", 1), ("Transfer16", 2));

    private static Dictionary<string, int> Words(params (string Word, int Value)[] words)
    {
        var all = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach ((string word, int value) in words) all[word] = value;
        return all;
    }
}
